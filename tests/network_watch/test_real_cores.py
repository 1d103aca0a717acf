"""Real cores in the simulator's network, whose statuses a watch reads: one way, and two halves."""

from __future__ import annotations

import pytest

from dtvn.node.hearing import seconds_since_heard, silent_seconds
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.quorum import Mode
from tests.network_watch.seen import between
from tests.pages.simulated import Simulated
from validators.network_watch.watch import NetworkWatch

pytestmark = pytest.mark.exhaustive


class Watched:
    """A world, and a watch that looks at it once in each second."""

    def __init__(self, mode: Mode = Mode.PBFT) -> None:
        self.world = Simulated(mode=mode)
        self.watch = NetworkWatch()

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.world.pass_seconds(1)
            now = self.world.world.time
            moment = Now(monotonic=now, wall=now + 10**18)
            self.watch.take(self.world.members(), {}, moment, self.world.world.mode)

    def cut(self, *pairs: tuple[str, str]) -> None:
        """Nothing that the second of a pair sends comes to the first."""
        for hearer, heard in pairs:
            self.world.world.network.cut(heard, hearer)


@pytest.fixture(params=[Mode.PBFT])
def watched(request: pytest.FixtureRequest) -> Watched:
    found = Watched(request.param)
    found.pass_seconds(30)
    return found


def test_a_node_says_when_it_last_heard_each_other_one(watched: Watched) -> None:
    first, second, *_ = names = watched.world.world.member_names
    node = watched.world.members_of[first]
    told = seconds_since_heard(node)  # type: ignore[arg-type]
    assert sorted(told) == sorted(set(names) - {first})
    assert all(age is not None and age <= 1.1 for age in told.values())
    watched.cut((first, second))
    watched.pass_seconds(20)
    told = seconds_since_heard(node)  # type: ignore[arg-type]
    assert told[second] == pytest.approx(20, abs=1.5)
    assert silent_seconds(node)[second,] == told[second]  # type: ignore[arg-type]
    node.disk_full = True
    assert seconds_since_heard(node) == {}  # type: ignore[arg-type]


def test_one_way_is_told_as_one_way(watched: Watched) -> None:
    assert watched.watch.cut is None
    first, second, *_ = watched.world.world.member_names
    watched.cut((first, second))
    watched.pass_seconds(15)
    assert watched.watch.cut is not None
    assert watched.watch.cut.what == f"{first} does not hear {second}"
    assert watched.watch.cut.since == pytest.approx(watched.watch.hearing.at - 15, abs=1.5)


@pytest.mark.parametrize("watched", [*Mode], indirect=True)
def test_halves_are_told_and_heal(watched: Watched) -> None:
    names = watched.world.world.member_names
    watched.cut(*between(names[:2], names[2:]))
    watched.pass_seconds(15)
    assert watched.watch.cut is not None
    assert watched.watch.cut.groups == (tuple(names[:2]), tuple(names[2:]))
    assert watched.watch.cut.decides == ()
    watched.world.world.network.heal()
    watched.pass_seconds(5)
    assert watched.watch.cut is None
    pair = names[0], names[2]
    states = [span.state.value for span in watched.watch.hour.spans(pair)]
    assert states == ["heard", "silent", "heard"]


def test_two_quiet_minutes_have_no_cut(watched: Watched) -> None:
    cuts = set()
    for _ in range(120):
        watched.pass_seconds(1)
        cuts.add(watched.watch.cut)
    assert cuts == {None}
