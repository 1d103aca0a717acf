"""Old processes really resume and are fenced; announced changes are really read.

That the checkers complain when they should is shown by planted bugs (test_checkers.py).
"""

from __future__ import annotations

import pytest

from simulator.campaign import Cut, Play
from simulator.checkers.read_your_writes import ReadYourWrites
from simulator.cluster import Cluster
from simulator.stale_process import StaleProcess, take_over
from simulator.worlds import world_of

pytestmark = pytest.mark.ci


def played(world: str, seed: int) -> Cluster:
    """The world of this seed, played to its end."""
    drawn = world_of(world, seed)
    cluster = Cluster(seed, drawn.settings)
    Play(cluster, drawn, Cut()).run()
    return cluster


def test_r10_a_paused_process_whose_ledger_was_taken_over_ends_silently(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    woken, ended = [], []
    resume, crash = StaleProcess.resume, StaleProcess.crash
    monkeypatch.setattr(StaleProcess, "resume", lambda stale: (woken.append(stale.name), resume(stale)))
    monkeypatch.setattr(StaleProcess, "crash", lambda stale: (ended.append(stale.up), crash(stale)))
    cluster = played("two-processes", 0)
    assert len(woken) >= 3
    assert ended.count(True) >= 3, "it ran until it wrote"
    assert not any(
        isinstance(node, StaleProcess) and not node.paused for node in cluster.world.nodes.values()
    )


def test_r10_the_new_process_has_the_votes_of_the_old_one() -> None:
    drawn = world_of("calm", 0)
    cluster = Cluster(0, drawn.settings)
    cluster.start()
    node = cluster.world.nodes["r1"]
    before = node.core
    stale = take_over(node.world, node)
    assert stale is not None
    assert (stale.core, stale.disk) == (before, node.disk)
    assert node.core is not before
    assert take_over(node.world, node) is None, "one old process at a time"


def test_r17_a_reader_notified_of_a_change_reads_it_everywhere() -> None:
    readings = next(c for c in played("node-reads", 1).checkers if isinstance(c, ReadYourWrites))
    assert readings.seen >= 4
    assert readings.seen_at_nodes >= 12
