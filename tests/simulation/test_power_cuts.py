"""All nodes lose power, and disks keep what they synced (R6): it is enough, and less is noticed."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dtvn.protocol.consensus import Replica
from dtvn.protocol.consensus.contradiction import read
from dtvn.protocol.consensus.effects import Effects, Now
from dtvn.protocol.consensus.verified import Verified
from simulator.campaign import Cut, Play, Task, run
from simulator.checkers.durability import Durability
from simulator.checkers.durable_before_send import DurableBeforeSend
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.disk import CrashPoint, VirtualDisk
from simulator.world import Settings
from simulator.worlds import world_of

pytestmark = pytest.mark.exhaustive

WORLD = "power-cut"
SEEDS = 8
"""Within so many the power goes at the one moment that matters."""


def test_row_11_writes_lost_in_power_cuts_are_never_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[int] = []
    crash = VirtualDisk.crash

    def watched(disk: VirtualDisk, *, thorough: bool = False) -> bool:
        before = len(disk.log)
        whole = crash(disk, thorough=thorough)
        lost.append(before - len(disk.log))
        return whole

    monkeypatch.setattr(VirtualDisk, "crash", watched)
    drawn = world_of(WORLD, 0)
    cluster = Cluster(0, drawn.settings)
    Play(cluster, drawn, Cut()).run()
    assert len(lost) > 20
    assert sum(count > 0 for count in lost) > 5, "executed entries that no disk had synced"
    assert cluster.durability.outcomes > 100


@pytest.mark.parametrize(
    ("phase", "first"),
    [("prepare", 0), ("commit", 1), ("checkpoint", 4), ("view-change", 0), ("new-view", 0)],
)
def test_r6_an_unsynced_vote_that_was_lost_is_detected_later(
    phase: str, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks the disk at the moment of the word sees it at once. Here nobody does: what was forgotten is
    contradicted, or comes back from others and costs the vote (R7, R11)."""
    monkeypatch.setattr(DurableBeforeSend, "_durable", lambda *_: None)
    monkeypatch.setattr(Durability, "_survives", lambda *_: None)
    reports = (run(Task(seed, WORLD, f"{phase}-not-synced")) for seed in range(first, first + SEEDS))
    assert any(report.checker is not None for report in reports)


def test_r24_a_node_killed_after_a_contradiction_stays_halted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The power goes between that write and the first word: it had said nothing, and says nothing later."""
    cluster = Cluster(0, Settings(members=4, learners=0, gateways=0))
    cluster.start()
    cluster.world.run_for(200 * MILLISECOND)
    node = cluster.world.nodes["r3"]
    assert node.host is not None
    core = cast(Replica, node.host.core)
    real = core.receive

    def receive(verified: Verified[Any], now: Now) -> Effects:
        core.contradictions._stop("checkpoint", 10, (), ())
        effects = real(verified, now)
        effects.send.clear()  # what a turn that speaks is synced for
        return effects

    monkeypatch.setattr(core, "receive", receive)
    node.crash_in_next_write(CrashPoint.AFTER_PERSIST)
    cluster.world.run_for(SECOND)
    assert (node.up, node.halted) == (False, "")
    assert read(node.disk.synced.states.values()) is not None
    cluster.world.start(node)
    assert node.halted == "quorums signed two states after sequence 10 of epoch 0"
    assert not node.up
