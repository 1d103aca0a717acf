"""The checker of R32 catches too lenient thresholds, and requires no more than R32 promises."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.protocol.consensus.requests import primary_monitor
from simulator import worlds
from simulator.adversary import slow_primary
from simulator.campaign import Task, run
from simulator.clock import SECOND

pytestmark = pytest.mark.ci


@pytest.mark.parametrize(("name", "mild"), [("LATENCIES", 40), ("LATENCY_SHARE", 1), ("COMMIT_TIMES", 400)])
def test_r32_a_primary_monitor_that_is_too_mild_is_caught(
    monkeypatch: pytest.MonkeyPatch, name: str, mild: int
) -> None:
    monkeypatch.setattr(primary_monitor, name, mild)
    assert run(Task(0, "slow-primary")).checker == "slow-primary-deposed"


def test_r32_requests_sent_only_to_the_primary_depose_no_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a delay of 480 ms they keep 300 to themselves (R34), and what is left is less than T / 4."""
    drawn = msgspec.structs.replace(worlds.world_of("slow-primary", 0), duration=12 * SECOND)
    monkeypatch.setitem(worlds.WORLDS, "slow-primary", lambda _seed: drawn)
    monkeypatch.setattr(slow_primary, "SHARE_OF_TIMEOUT", 0.6)
    report = run(Task(0, "slow-primary"))
    assert (report.violation, report.view_changes) == (None, 0)
