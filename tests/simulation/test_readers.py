"""Readers behind shared barriers are shown what was told before they asked, in random worlds too (R18)."""

from __future__ import annotations

from simulator.campaign import Cut, Play
from simulator.cluster import Cluster
from simulator.worlds import world_of
from tickets.proof.barriers import SharedBarriers, passed_checkpoint


def test_r18_a_reader_shares_the_barrier_that_is_sent_after_it_asked() -> None:
    barriers: SharedBarriers[list[str]] = SharedBarriers()
    assert barriers.begin() is None, "nobody waits"
    barriers.join(list).append("first")
    sent = barriers.begin()
    assert sent == ["first"]
    for name in ("second", "third"):
        barriers.join(list).append(name)
        assert barriers.begin() is None, "one at a time"
    barriers.end()
    assert (sent, barriers.begin(), barriers.begin()) == (["first"], ["second", "third"], None)


def test_a_checkpoint_is_passed_at_its_own_sequence() -> None:
    assert [passed_checkpoint(9, reached, 5) for reached in (9, 10, 11)] == [False, True, True]
    assert not passed_checkpoint(10, 14, 5)


def test_r18_readers_share_barriers_among_faults_and_see_what_was_told() -> None:
    drawn = world_of("barriers", 1)
    cluster = Cluster(1, drawn.settings)
    play = Play(cluster, drawn, Cut())
    play.run()
    readers = play.readers
    assert readers is not None
    read = [each for each in readers.reads if each.code == "ok"]
    assert len(read) > 80
    assert sum(each.shown > each.least for each in read) > 10, "tickets that changed meanwhile"
    assert readers.shared > 50
    assert readers.barriers, "after the restart of all members"


def test_r18_random_worlds_have_readers() -> None:
    drawn = [world_of("random", seed) for seed in range(200)]
    assert sum(each.readers for each in drawn) > 10
    assert all(each.settings.learners for each in drawn if each.readers)
