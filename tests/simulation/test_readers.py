"""Readers behind shared barriers are shown what was told before they asked, in random worlds too (R18)."""

from __future__ import annotations

import pytest

from simulator.campaign import Cut, Play
from simulator.cluster import Cluster
from simulator.worlds import world_of

pytestmark = pytest.mark.ci


def test_r18_readers_that_share_barriers_see_known_changes() -> None:
    drawn = world_of("barrier-reads", 1)
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
