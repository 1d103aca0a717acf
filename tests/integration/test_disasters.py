"""One whole network under constant scans, through every disaster that issue 3 promises it survives.

Its primary is killed, then paused for 30 s; a node's data is deleted; all nodes are killed at once; members
come and go, 4 to 7 to 4. In the end nothing acknowledged is lost, all states are equal, and the platform has
shown what happened.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from dtvn.gateway import Gateway
from dtvn.node.layout import ClusterFolder
from tests.integration.network import Network, network
from tests.integration.node_cluster import ANSWER_WAIT
from tests.integration.test_process_life import wait_until_everyone_runs
from tests.waiting import PATIENCE, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.embedded_only,
    pytest.mark.timeout(900),
    pytest.mark.exhaustive,
]

GATES = 3
PAUSE = 30.0
"""Seconds for which the primary is suspended."""
GO_ON = 20
"""Admissions after a disaster that show that the network works."""
PAGE = 5_000


class Gate(threading.Thread):
    """Issues a ticket and admits it, one after the other; asks with the same nonce until it is decided."""

    def __init__(self, running: Network, name: str) -> None:
        super().__init__(daemon=True)
        self._client = running.client(patient=False)
        self._name = name
        self.ending = threading.Event()
        self.admitted: dict[str, int] = {}
        """Sequence by ticket."""
        self.surprises: list[str] = []

    def run(self) -> None:
        with self._client as client:
            for number in range(1_000_000):
                if self.ending.is_set():
                    return
                self._admit(client, f"{self._name}-{number}")

    def _admit(self, client: httpx.Client, ticket: str) -> None:
        for path in ("/api/v1/tickets", "/api/v1/tickets/admit"):
            body = {"ticket_id": ticket, "nonce": f"{path[-5:]}-{ticket}"}
            since = time.monotonic()
            answer = client.post(path, json=body)
            while answer.status_code in (503, 504) and time.monotonic() - since < 2 * PATIENCE:
                answer = client.post(path, json=body)
            if answer.status_code != 200:
                self.surprises.append(f"{path} {ticket}: {answer.status_code} {answer.text[:200]}")
                return
        self.admitted[ticket] = int(answer.headers["X-DTVN-Sequence"])


class Town:
    """The network, its gates, and an administrator's gateway beside it."""

    def __init__(self, running: Network, gateway: Gateway, gates: list[Gate]) -> None:
        self.running = running
        self.gateway = gateway
        self.gates = gates
        self.folder = ClusterFolder(running.data)

    def admitted(self) -> int:
        return sum(len(gate.admitted) for gate in self.gates)

    def goes_on(self) -> None:
        """Wait until the gates are served again."""
        goal = self.admitted() + GO_ON
        wait_until(
            lambda: self.admitted() >= goal,
            what=lambda: f"{goal} admissions: {self.surprises()}\n{self.running.said()}",
        )

    def surprises(self) -> list[str]:
        return [surprise for gate in self.gates for surprise in gate.surprises]

    def primary(self) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            return next((node for node in self.running.nodes().values() if node["is_primary"]), None)

        node = wait_until(found, what="the platform shows who is primary")
        assert node is not None
        return node

    def shown(self, node_id: str, check: Callable[[dict[str, Any]], bool], what: str) -> None:
        wait_until(
            lambda: check(self.running.nodes()[node_id]),
            what=lambda: f"{node_id} {what}: {self.running.nodes()[node_id]}\n{self.running.said()}",
        )

    def members(self, *numbers: int) -> None:
        """The platform shows these, once it has heard of the epoch."""
        wait_until(
            lambda: set(self.running.nodes()) == {f"node{number}" for number in numbers},
            what=lambda: f"members {numbers}: {self.running.nodes()}",
        )

    def told(self, index: int, what: str = "status") -> dict[str, Any]:
        answer = self.gateway.query(index, what, wait=ANSWER_WAIT).result(ANSWER_WAIT + 10)
        return {} if answer.code else msgspec.json.decode(answer.text)

    def told_by(self, index: int) -> dict[str, Any]:
        """A member's own answer, once it answers."""
        return wait_until(
            lambda: self.told(index), what=lambda: f"node{index} answers\n{self.running.said()}"
        )

    def everyone(self, check: Callable[[dict[str, Any]], bool], what: str) -> None:
        """Every member's own answer."""
        places = range(len(self.gateway.present.members))
        wait_until(
            lambda: all((told := self.told(index)) and check(told) for index in places),
            what=lambda: f"{what}: {[self.told(index) for index in places]}\n{self.running.said()}",
        )


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    place = tmp_path_factory.mktemp("disasters") / "data"
    with network(place, environment={"DTVN_KILL_SILENT_AFTER": "90"}) as running, ExitStack() as open_things:
        running.start()
        folder = ClusterFolder(running.data)
        gateway = Gateway.open(folder.genesis, folder.gateway_key, principal="gateway")
        open_things.callback(gateway.close)
        gates = [Gate(running, f"gate{number}") for number in range(GATES)]
        for gate in gates:
            gate.start()
        yield Town(running, gateway, gates)
        for gate in gates:
            gate.ending.set()
        for gate in gates:
            gate.join(PATIENCE)


def test_gates_continue_after_the_primary_is_killed(town: Town) -> None:
    town.goes_on()
    old = town.primary()
    os.kill(old["pid"], signal.SIGKILL)
    town.goes_on()
    town.shown(old["id"], lambda node: node["pid"] not in (None, old["pid"]), "has a new process")
    # In time for its own view, or as a backup of the next one.
    town.everyone(lambda told: told["voting"] and told["peer_count"] == 3, "all four vote")


def test_gates_continue_while_the_primary_is_paused_for_30_seconds(town: Town) -> None:
    wait_until_everyone_runs(town.running)
    old = town.primary()
    os.kill(old["pid"], signal.SIGSTOP)
    since = time.monotonic()
    town.shown(old["id"], lambda node: node["status"] == "unresponsive", "is shown as silent")
    town.goes_on()
    wait_until(lambda: town.primary()["id"] != old["id"], what="the platform has heard of another primary")
    wait_until(lambda: time.monotonic() - since > PAUSE, what="the pause is over")
    os.kill(old["pid"], signal.SIGCONT)
    town.shown(old["id"], lambda node: node["status"] == "running", "runs again")
    assert town.running.nodes()[old["id"]]["pid"] == old["pid"], "the same process"
    behind = town.admitted()
    town.goes_on()
    assert town.admitted() > behind
    last = max(town.told(index).get("sequence", 0) for index in range(4))
    town.everyone(lambda told: told["voting"] and told["sequence"] >= last, "who slept has caught up")


def test_a_running_node_whose_ledger_is_deleted_votes_again(town: Town) -> None:
    """It ends, starts without a vote, takes the state or the log from others, and votes again (R11)."""
    wait_until_everyone_runs(town.running)
    victim = town.running.nodes()["node3"]
    incarnation = town.told_by(3)["incarnation"]
    delete(town, town.folder.node("node3").ledger)
    town.shown("node3", lambda node: node["pid"] not in (None, victim["pid"]), "has a new process")
    town.goes_on()
    town.everyone(lambda told: told["voting"], "node3 has its vote back")
    assert town.told_by(3)["incarnation"] < max(incarnation, 2)
    assert "removed or replaced while it was in use" in town.running.log.read_text()


def delete(town: Town, folder: Path) -> None:
    """All at once: what is still being written into it goes with it."""
    gone = folder.rename(town.running.data.parent / f"deleted-{folder.name}")
    shutil.rmtree(gone, ignore_errors=True)


def test_gates_continue_after_all_nodes_are_killed_at_once(town: Town) -> None:
    wait_until_everyone_runs(town.running)
    old = {node["pid"] for node in town.running.nodes().values()}
    for pid in old:
        os.kill(pid, signal.SIGKILL)

    def all_are_back() -> bool:
        nodes = town.running.nodes().values()
        return all(node["status"] == "running" and node["pid"] not in (None, *old) for node in nodes)

    wait_until(
        all_are_back, what=lambda: f"new processes of all: {town.running.nodes()}\n{town.running.said()}"
    )
    town.goes_on()
    town.everyone(lambda told: told["voting"], "all vote again")


def test_members_change_after_the_folder_of_a_node_is_deleted(town: Town) -> None:
    """4 to 7 to 4 over REST. With its folder the key of node2 is gone: it leaves, others take its place."""
    delete(town, town.folder.node("node2").root)
    town.shown("node2", lambda node: "members replace" in node.get("error", ""), "is shown with a way out")
    town.goes_on()
    with town.running.client() as client:
        for name in ("node4", "node5", "node6"):
            assert done(client, client.post("/api/v1/members", json={"node_id": name})) == "ok"
        town.members(*range(7))
        for name in ("node2", "node0", "node4"):
            assert done(client, client.delete(f"/api/v1/members/{name}")) == "ok"
        changes = client.get("/api/v1/changes").json()["data"]
    assert [change["state"] for change in changes] == ["done"] * 6
    town.goes_on()
    nothing_is_lost(town)


def done(client: httpx.Client, asked: httpx.Response) -> str:
    """What became of a change of the membership; it may take longer than a call waits."""
    assert asked.status_code in (200, 202, 504), asked.text
    place = asked.headers["Location"]

    def decided() -> dict[str, Any] | None:
        change = client.get(place).json()["data"]
        return change if change["state"] in ("done", "refused") else None

    change = wait_until(
        decided, timeout=2 * PATIENCE, what=lambda: f"a change is decided: {client.get(place).text}"
    )
    assert change is not None
    return str(change["code"] if change["state"] == "done" else change)


def nothing_is_lost(town: Town) -> None:
    """Every acknowledged admission is in the log, each ticket stands at its first one, and all members have
    equal states. A scan that was repeated after a time-out may be ordered again, with the first outcome
    (R13); its answer names its own place."""
    for gate in town.gates:
        gate.ending.set()
    for gate in town.gates:
        gate.join(3 * PATIENCE)
    assert town.surprises() == []
    told = {ticket: sequence for gate in town.gates for ticket, sequence in gate.admitted.items()}
    assert len(told) > 100
    admitted = in_the_log(town, last=max(told.values()))
    scans = defaultdict(list)
    for record in admitted:
        scans[record["ticket_id"]].append(record)
    lost = [ticket for ticket, at in told.items() if at not in [scan["sequence"] for scan in scans[ticket]]]
    assert lost == []
    with town.running.client() as client:
        for ticket, (first, *repeated) in scans.items():
            if repeated:
                stands = client.get(f"/api/v1/tickets/{ticket}").json()["data"]
                assert (stands["Timestamp"], stands["ValidatorID"]) == (first["timestamp"], first["node_id"])
    last = max(record["sequence"] for record in admitted)
    town.everyone(lambda said: said["sequence"] >= last and said["epoch"] == 6, "all have everything")
    town.members(1, 3, 5, 6)
    wait_until(lambda: len(roots(town)) == 1, what=lambda: f"one state at one checkpoint: {roots(town)}")
    with town.running.client() as client:
        ticket = next(iter(told))
        states = [shown(client, name, ticket) for name in town.running.nodes()]
    assert [state["State"] for state in states] == ["CONSUMED"] * 4
    assert states[0] == states[1] == states[2] == states[3]


def shown(client: httpx.Client, name: str, ticket: str) -> dict[str, Any]:
    """A ticket as one node has it, once it answers."""

    def answered() -> dict[str, Any]:
        answer = client.get(f"/api/v1/nodes/{name}/tickets/{ticket}")
        assert answer.status_code in (200, 503), answer.text
        return answer.json()["data"] if answer.status_code == 200 else {}

    return wait_until(answered, what=f"{name} shows {ticket}")


def roots(town: Town) -> set[tuple[int, str]]:
    said = [town.told(index) for index in range(4)]
    return {(status["stable"], status["state_root"]) for status in said if status}


def in_the_log(town: Town, *, last: int) -> list[dict[str, Any]]:
    """The records of all admissions, in the order of the log, as the platform lists them once its copy is so
    far."""
    admitted: list[dict[str, Any]] = []
    with town.running.client() as client:

        def copied() -> int:
            found = client.get("/api/v1/consensus/logs", params={"limit": "1"})
            return int(found.headers.get("X-DTVN-Sequence", 0))

        wait_until(lambda: copied() >= last, what=lambda: f"the copy has {last}: {copied()}")
        after: str | None = None
        while True:
            query = {"limit": str(PAGE)} | ({"after": after} if after else {})
            records = client.get("/api/v1/consensus/logs", params=query).json()["data"]
            admitted += [record for record in records if record["operation"] == "ADMIT"]
            if len(records) < PAGE:
                return admitted
            after = f"{records[-1]['sequence']}.{records[-1]['index']}"
