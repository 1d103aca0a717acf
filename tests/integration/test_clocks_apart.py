"""Clocks of f + 1 members are wrong, set so or started so: every guest is admitted, and no view is left for
ever (R3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.network import Network, network
from tests.integration.stepped_clocks import Clocks
from tests.integration.test_clock_steps import BESIDES, all_admitted, doctor, scanning
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.bench, pytest.mark.timeout(1_800)]

DAY = 86_400.0
WRONG_FOR = 60.0
"""Seconds."""
VIEWS_MAX = 2
"""Views that may be left while two clocks are set and set back: one for each, if its primary saw it last."""
RAFT = {"NODES": "3", "CONSENSUS": "raft"}


def views(started: Network) -> list[int]:
    return [int(node["view"]) for node in started.nodes().values()]


@pytest.mark.parametrize(
    ("environment", "wrong"),
    [
        ({}, {"node1": 30.0, "node2": 30.0}),
        ({}, {"node1": -30.0, "node2": -30.0}),
        ({}, {"node0": -3 * DAY, "node1": -3 * DAY}),
        ({}, {"node1": 3 * DAY, "node2": 3 * DAY}),
        (RAFT, {"node1": 30.0, "node2": -30.0}),
    ],
    ids=["ahead", "behind", "three-days-behind", "three-days-ahead", "raft"],
)
@pytest.mark.parametrize("started_so", [False, True], ids=["set", "started-so"])
def test_r3_gates_admit_while_two_clocks_are_wrong(
    tmp_path: Path, environment: dict[str, str], wrong: dict[str, float], *, started_so: bool
) -> None:
    clocks = Clocks(tmp_path / "clocks")
    with network(tmp_path / "data", environment={**clocks.environment(), **environment}) as started:
        if started_so:
            put(clocks, wrong)
        started.start()
        tickets = (f"TICKET-{number:03}" for number in range(1, 501))
        with started.client() as client:
            assert client.post("/api/v1/tickets/seed").status_code == 200
            before = max(views(started))
            with scanning(started, tickets) as gate:
                gate.goes_on(BESIDES)
                put(clocks, wrong)
                gate.goes_on(WRONG_FOR)
                put(clocks, dict.fromkeys(wrong, 0.0))
                gate.goes_on(BESIDES)
            assert max(views(started)) - before <= VIEWS_MAX
            all_admitted(client, gate.scans)
            wait_until(lambda: "clock_off" not in doctor(started), timeout=90, what=lambda: doctor(started))


def put(clocks: Clocks, wrong: dict[str, float]) -> None:
    for name, seconds in wrong.items():
        clocks.set(name, ahead=seconds)
