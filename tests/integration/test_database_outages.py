"""PostgreSQL holds the platform and the learner, and is killed: what goes on, and what heals by itself."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.integration.network import REPOSITORY, Network, network
from tests.integration.postgresql import postgresql
from tests.integration.supervised import Ears, listening
from tests.integration.test_process_life import everyone_runs, wait_until_everyone_runs
from tests.metrics.scraping import Page
from tests.waiting import PATIENCE, allowed, wait_until
from validators.data_folder import environment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

UP = "dtvn_platform_node_up"
LAG = "dtvn_platform_learner_lag_sequences"
AWAY = 10.0
LONG_AWAY = 60.0
"""Seconds without a database."""
PAUSED = 20.0
HANGING_GATES = 4
GATES_ALONE = 4.0
"""Seconds in which no other request can notice first that the database hangs: a gate's key is looked up every
2 s."""
IN_TIME = 2.0
"""Seconds in which each request is answered while the database hangs."""
STARTED = 5.0
"""Seconds until a start says that it needs the database."""
NOTICED = 5.0
"""Seconds until the metrics say that a node has ended."""


class Gate(threading.Thread):
    """Admits seeded tickets one after another, as a program at a gate does, and notes each answer."""

    def __init__(self, started: Network, first: int = 1, gates: int = 1, pause: float = 0.1) -> None:
        """`first`: the number of its first ticket; it takes every `gates`-th from there, each `pause` seconds
        after an answer."""
        super().__init__(daemon=True)
        self._tickets = range(first, 500, gates)
        self._pause = pause
        self.slowest = 0.0
        """Seconds until the latest of all answers."""
        self._client = started.client(patient=False)
        self._ended = threading.Event()
        self.admitted: list[str] = []
        self.refused: list[str] = []

    def run(self) -> None:
        with self._client:
            for number in self._tickets:
                self._admit(f"TICKET-{number:03}")
                if self._ended.wait(self._pause):
                    return

    def _admit(self, ticket: str) -> None:
        asked = time.monotonic()
        answer = self._client.post("/api/v1/tickets/admit", json={"ticket_id": ticket, "nonce": ticket})
        self.slowest = max(self.slowest, time.monotonic() - asked)
        if answer.status_code == 200:
            self.admitted.append(ticket)
        else:
            self.refused.append(f"{ticket}: {answer.status_code} {answer.text}")

    def end(self) -> None:
        """No further ticket; the last answer is noted."""
        self._ended.set()
        self.join(PATIENCE)


@contextmanager
def admitting(started: Network, first: int = 1, gates: int = 1, pause: float = 0.1) -> Iterator[Gate]:
    """A gate at work."""
    gate = Gate(started, first, gates, pause)
    gate.start()
    try:
        yield gate
    finally:
        gate.end()


@pytest.mark.parametrize("away", [AWAY, pytest.param(LONG_AWAY, marks=pytest.mark.exhaustive)])
def test_gates_admit_while_the_database_is_away_and_all_heals(tmp_path: Path, away: float) -> None:
    with (
        postgresql() as server,
        network(tmp_path / "data", environment={"DATABASE_URL": server.database()}) as started,
        ExitStack() as stopped,
    ):
        started.start()
        wait_until_everyone_runs(started)
        with started.client() as client:
            assert client.post("/api/v1/tickets/seed").status_code == 200
            ears = stopped.enter_context(listening(started, X_API_Key=started.credentials["api_key"]))
            gate = stopped.enter_context(admitting(started))
            wait_until(lambda: len(gate.admitted) > 5, what=lambda: f"admissions: {gate.refused}")
            admitted_before = len(gate.admitted)
            server.kill()
            since = time.monotonic()
            _a_node_dies(started, client)
            _pages_are_unavailable(started, client)
            wait_until(lambda: time.monotonic() - since > away, what="the outage lasted", timeout=2 * away)
            admitted_meanwhile = len(gate.admitted) - admitted_before
            server.start()
            _all_heals(started, client)
            wait_until(
                lambda: "reconcile: goes on" in started.log.read_text(), what="up says that it goes on"
            )
            gate.end()
            assert gate.refused == []
            assert admitted_meanwhile > away
            _rows_hold(client, gate.admitted)
            _events_came(ears, gate.admitted)
            _commands_work(started, client)


@pytest.mark.exhaustive
@pytest.mark.parametrize("paused", [PAUSED, pytest.param(LONG_AWAY, marks=pytest.mark.exhaustive)])
def test_gates_admit_while_the_database_hangs(tmp_path: Path, paused: float) -> None:
    with (
        postgresql() as server,
        network(tmp_path / "data", environment={"DATABASE_URL": server.database()}) as started,
        ExitStack() as stopped,
    ):
        started.start()
        wait_until_everyone_runs(started)
        with started.client() as client:
            assert client.post("/api/v1/tickets/seed").status_code == 200
            pause = (paused + PATIENCE) * HANGING_GATES / 500  # tickets for longer than that
            gates = [
                stopped.enter_context(admitting(started, first, HANGING_GATES, pause))
                for first in range(1, 1 + HANGING_GATES)
            ]
            wait_until(lambda: all(gate.admitted for gate in gates), what="all gates admit")
            before = len(gates[0].admitted)
            with server.paused():
                since = time.monotonic()
                wait_until(lambda: time.monotonic() - since > GATES_ALONE, what="gates noticed it")
                while time.monotonic() - since < paused:
                    _answers_come_in_time(started, client)
                assert len(gates[0].admitted) - before > paused / 2
            _all_heals(started, client)
            for gate in gates:
                gate.end()
                assert gate.refused == []
                assert gate.slowest < allowed(IN_TIME)
            _rows_hold(client, [ticket for gate in gates for ticket in gate.admitted])


def _answers_come_in_time(started: Network, client: httpx.Client) -> None:
    """What needs no database is answered as ever; what does is refused, with the reason."""
    expected = {"/health": 200, "/live": 200, "/ready": 200, "/metrics": 200, "/api/v1/cluster": 503}
    for path, status in expected.items():
        asked = time.monotonic()
        answer = client.get(path)
        took = time.monotonic() - asked
        assert (answer.status_code, took < allowed(IN_TIME)) == (status, True), (path, took, answer.text)
    assert "The platform's database does not answer" in answer.text
    assert figure(client, "dtvn_platform_database_up") == 0
    assert figure(client, UP, node_id="node1") == 1
    _pages_are_unavailable(started, client)


def _a_node_dies(started: Network, client: httpx.Client) -> None:
    """kill -9 of a node that no database tells of: the metrics say so in time."""
    node = started.titled("validator node3 ")
    assert node is not None
    node.kill()
    wait_until(
        lambda: figure(client, UP, node_id="node3") == 0,
        timeout=allowed(NOTICED),
        what="the metrics say that node3 is gone",
    )
    assert figure(client, UP, node_id="node0") == 1


def _pages_are_unavailable(started: Network, client: httpx.Client) -> None:
    """What people look at needs rows, and says so."""
    assert client.get("/api/v1/nodes").status_code == 503
    session = environment.cookie_name("sessionid", environment.read_secret_key(started.data))
    page = httpx.get(f"{started.url}/", cookies={session: "a" * 32}, trust_env=False)
    assert (page.status_code, page.text) == (503, "The platform's database does not answer; try again.\n")


def _all_heals(started: Network, client: httpx.Client) -> None:
    wait_until(
        lambda: answers(client) and everyone_runs(started),
        what=lambda: f"all nodes running\n{started.said()}",
    )
    for node_id in started.nodes():
        wait_until(lambda: figure(client, UP, node_id=node_id) == 1, what=f"{node_id} is up")  # noqa: B023
    assert figure(client, "dtvn_platform_database_up") == 1


def _rows_hold(client: httpx.Client, tickets: list[str]) -> None:
    """The learner follows again, up to what was admitted meanwhile."""
    wait_until(lambda: figure(client, LAG) == 0, what="the learner's lag is 0")
    for ticket in tickets:
        assert client.get(f"/api/v1/tickets/{ticket}").json()["data"]["State"] == "CONSUMED"


def _events_came(ears: Ears, tickets: list[str]) -> None:
    """A page that was open all the time is told of every admission, once."""
    ears.wait_for("ticket_consumed", ticket_id=tickets[-1])
    assert sorted(frame["ticket_id"] for frame in ears.of("ticket_consumed")) == sorted(tickets)


def _commands_work(started: Network, client: httpx.Client) -> None:
    """The supervisor's loops carry out what is wanted of nodes and of the cluster."""
    assert client.post("/api/v1/nodes", json={"node_id": "node4"}).status_code == 200
    wait_until(
        lambda: started.nodes().get("node4", {}).get("status") == "running",
        what=lambda: f"node4 joins\n{started.said()}",
    )
    for verb, status in (("stop", "stopped"), ("start", "running")):
        assert client.post(f"/api/v1/nodes/node2/{verb}").status_code == 200
        wait_until(
            lambda: started.nodes()["node2"]["status"] == status,  # noqa: B023
            what=lambda: f"node2 {verb}\n{started.said()}",  # noqa: B023
        )


def answers(client: httpx.Client) -> bool:
    """Whether the platform reads its database again."""
    return client.get("/api/v1/nodes").status_code == 200


def figure(client: httpx.Client, name: str, **labels: str) -> float | None:
    """One value of the platform's metrics; None where it is not shown."""
    return Page(client.get("/metrics").text).value(name, **labels)


@pytest.mark.exhaustive
def test_threads_that_rarely_read_the_database_survive_its_restart(tmp_path: Path) -> None:
    with postgresql() as server:
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.database_loops"],
            cwd=REPOSITORY,
            env=Network(tmp_path / "data", environment={"DATABASE_URL": server.database()}).environment()
            | {"DJANGO_SETTINGS_MODULE": "dtvn_project.settings"},
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
    assert done.returncode == 0, done.stderr


def hold(server: socket.socket, held: list[float]) -> None:
    """Accept connections without a word, and note for how many seconds each was held by its client."""
    with suppress(OSError):  # the server is closed
        while True:
            connection, _address = server.accept()
            begun = time.monotonic()
            with connection, suppress(OSError):
                while connection.recv(4_096):
                    pass
            held.append(time.monotonic() - begun)


@pytest.mark.parametrize("command", ["web", "up"])
def test_a_start_at_a_database_that_hangs_says_so_in_time(tmp_path: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"postgresql://dtvn@127.0.0.1:{hanging.getsockname()[1]}/dtvn"
        environment = Network(tmp_path / "data", environment={"DATABASE_URL": url}).environment()
        held: list[float] = []
        holding = threading.Thread(target=hold, args=(hanging, held))
        holding.start()
        done = subprocess.run(
            [sys.executable, "manage.py", command],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        wait_until(lambda: held, what="the connection of the process that ended is closed")
        hanging.shutdown(socket.SHUT_RDWR)
        holding.join()
    assert sum(held) < allowed(STARTED), "the start itself takes processor time, which a busy machine lacks"
    assert "the platform's database: the server does not answer" in done.stdout + done.stderr
    assert done.returncode == 1
