"""Clocks of a whole platform's nodes jump an hour ahead and back: gates admit all the time (R3, R14)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from dtvn.gateway import Gateway
from dtvn.machine import Barrier
from dtvn.node.layout import ClusterFolder
from tests.integration.network import Network, network
from tests.integration.node_cluster import operation, submit
from tests.integration.stepped_clocks import PLATFORM, Clocks
from tests.integration.test_process_life import wait_until_everyone_runs
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.bench, pytest.mark.timeout(900)]

HOUR = 3_600.0
AHEAD_FOR = 35.0
"""Seconds for which the clocks are ahead."""
BETWEEN_SCANS = 0.25
PROMISED = 2.0
"""Seconds within which each guest is admitted, at every moment."""
GIVEN_UP = 20.0
"""Seconds after which a scan is not repeated any more."""
BESIDES = 8.0
"""Seconds of scans before and after each step."""
THREE = ("node0", "node1", "node2")
EVERYTHING = (*THREE, "node3", PLATFORM)


class Scan(NamedTuple):
    ticket: str
    begun: float
    """Seconds since the gate was opened."""
    took: float
    said: str
    """How it ended."""


class Gate:
    """Scans one new ticket after the other, each as often as it takes, under one nonce."""

    def __init__(self, client: httpx.Client, tickets: Iterator[str]) -> None:
        self._client = client
        self._tickets = tickets
        self._closed = threading.Event()
        self._opened = time.monotonic()
        self._pool = ThreadPoolExecutor(64, "scan")
        self._scans: list[Future[Scan]] = []
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def goes_on(self, seconds: float) -> None:
        """Return when it has begun the scans of so many seconds."""
        begun = len(self._scans) + seconds / BETWEEN_SCANS
        wait_until(lambda: len(self._scans) >= begun, what="scans")

    def close(self) -> list[Scan]:
        """All scans, once each has ended."""
        self._closed.set()
        self._thread.join()
        self._pool.shutdown()
        return self.scans

    @property
    def scans(self) -> list[Scan]:
        """All of a closed gate."""
        return [scan.result() for scan in self._scans]

    def _work(self) -> None:
        while not self._closed.wait(BETWEEN_SCANS):
            self._scans.append(self._pool.submit(self._scan, next(self._tickets)))

    def _scan(self, ticket: str) -> Scan:
        begun, said = time.monotonic(), ""
        while time.monotonic() - begun < GIVEN_UP:
            answer = self._client.post("/api/v1/tickets/admit", json={"ticket_id": ticket, "nonce": ticket})
            said = f"{answer.status_code} {answer.text[:200]}"
            if answer.status_code not in (503, 504):
                break
        return Scan(ticket, begun - self._opened, time.monotonic() - begun, said)


@contextmanager
def scanning(started: Network, tickets: Iterator[str]) -> Iterator[Gate]:
    """A gate that scans until the end of the block; then all guests were admitted, and none waited long."""
    with started.client(patient=False) as client:
        gate = Gate(client, tickets)
        try:
            yield gate
        finally:
            scans = gate.close()
    refused = [scan for scan in scans if not scan.said.startswith("200")]
    assert not refused, refused[:5]
    slow = [scan for scan in scans if scan.took > PROMISED]
    assert not slow, (
        f"{len(slow)} of {len(scans)}, slowest {max(slow, key=lambda scan: scan.took)}: {slow[:5]}"
    )


def ready(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/ready")
    return answer.json() | {"status_code": answer.status_code}


def sentence(client: httpx.Client) -> str:
    said: str = client.get("/api/v1/cluster").json()["data"]["sentence"]
    return said


def doctor(started: Network) -> dict[str, str]:
    """What `manage.py doctor` finds: trouble to words."""
    done = started.run("doctor", "--json", "--for", "0")
    found = json.loads(done.stdout)["findings"]
    return {each["trouble"]: each["wrong"] for each in found}


def all_admitted(client: httpx.Client, scans: list[Scan]) -> None:
    """Every acknowledged admission stands: by a read that the log orders."""
    for scan in scans:
        answer = client.get(f"/api/v1/tickets/{scan.ticket}", params={"read": "linearizable"})
        assert '"CONSUMED"' in answer.text, (scan, answer.text)


@pytest.mark.parametrize("stepped", [THREE, EVERYTHING], ids=["three-of-four", "the-whole-host"])
def test_gates_admit_while_clocks_jump_an_hour_and_back(tmp_path: Path, stepped: tuple[str, ...]) -> None:
    clocks = Clocks(tmp_path / "clocks")
    with network(tmp_path / "data", environment=dict(clocks.environment())) as started:
        started.start()
        tickets = (f"TICKET-{number:03}" for number in range(1, 501))
        with started.client() as client:
            assert client.post("/api/v1/tickets/seed").status_code == 200
            assert "log_time_ahead" not in ready(client)
            with scanning(started, tickets) as gate:
                gate.goes_on(BESIDES)
                clocks.set(*stepped, ahead=HOUR)
                if stepped == THREE:
                    node3_says_why_it_withholds(started, client)
                gate.goes_on(AHEAD_FOR)
                clocks.set(*stepped, ahead=0.0)
                gate.goes_on(BESIDES)
                the_state_is_said(started, client)
                a_fresh_caller_is_answered(started)
                gate.goes_on(BESIDES)
            started.stop()
            started.start()
            wait_until_everyone_runs(started)
            the_state_is_said(started, client)
            with scanning(started, tickets) as later:
                later.goes_on(BESIDES)
            all_admitted(client, gate.scans + later.scans)


def node3_says_why_it_withholds(started: Network, client: httpx.Client) -> None:
    """In the list of nodes, in the state sentence and in doctor."""
    said = "withholds its vote: the proposal's time is 3,"
    wait_until(lambda: said in str(started.nodes()["node3"]), what=lambda: str(started.nodes()))
    assert f"node3 {said}" in sentence(client)
    assert f"node3 {said}" in doctor(started)["vote_withheld"]


def a_fresh_caller_is_answered(started: Network) -> None:
    """A gateway in a process that knows no log time yet has an operation ordered."""
    folder = ClusterFolder(started.data)
    with Gateway.open(folder.genesis, folder.gateway_key, principal="gateway") as gateway:
        wait_until(lambda: gateway.has_quorum, what="a quorum")
        [result] = submit(gateway, [operation(Barrier())], wait=PROMISED)
    assert result.code == "ok"


def the_state_is_said(started: Network, client: httpx.Client) -> None:
    """In /ready of platform and node, in the state sentence, in doctor, and in the metrics."""
    found = wait_until(
        lambda: ready(client).get("log_time_ahead") and ready(client), what=lambda: str(ready(client))
    )
    assert found["status_code"] == 200
    assert HOUR - 200 < found["log_time_ahead"] < HOUR
    said = wait_until(
        lambda: "log time is" in sentence(client) and sentence(client), what=lambda: sentence(client)
    )
    assert " min ahead of this clock; windows of validity are judged by it" in said
    assert "log time is" in doctor(started)["log_time_ahead"].lower()
    assert "dtvn_platform_log_time_ahead_seconds 3" in client.get("/metrics").text
    own = f"http://127.0.0.1:{started.nodes()['node3']['api_port']}/ready"
    assert HOUR - 200 < httpx.get(own, trust_env=False).json()["log_time_ahead"] < HOUR
