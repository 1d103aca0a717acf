"""A pause of the process moves each time that a core compares with its clock, whatever it was doing (R31)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.quorum import Mode
from tests.consensus.grouped import Grouped
from tests.consensus.helpers import Cluster, is_kind

BEGINNING = 10**12
"""The monotonic time at which a cluster begins; all that is counted or configured is far below it."""
GAP = 7 * BEGINNING

STAY = frozenset(
    {
        # When it was last said or answered: it is said again at once.
        *("Pinging._last", "Retransmission._last_sent", "Retransmission._noticed[]", "Statuses._last_sent"),
        *("Replication._sent[]", "Suspicion._say_again", "Serving._answered", "Serving._answered_follower"),
        *("Serving._offered[]", "Transfer._seek_at", "Transfer._choose_at"),
        "Pinging._enough_since",
        # What was waited for before the pause is forgiven (`PrimaryMonitor._from`).
        *("PrimaryMonitor._executed_at", "PrimaryMonitor._from", "PrimaryMonitor._newest_since"),
        # Of no use until a member is heard again.
        "Lag.heard[]",
    }
)


class Tickets(Cluster):
    """Its state is small, and can be fetched in groups."""

    state = Grouped


def times_in(where: str, value: Any) -> Iterator[tuple[str, int]]:
    """Each monotonic time in a value, with the names that lead to it."""
    if type(value) is int:
        if BEGINNING <= value <= 3 * GAP:
            yield where, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from times_in(f"{where}[{key!r}]", each)
    elif isinstance(value, tuple):
        for each in value:
            yield from times_in(where, each)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from times_in(f"{where}.{name}", getattr(value, name))
    elif hasattr(type(value), "__slots__") and type(value).__module__.startswith("dtvn."):
        for name in type(value).__slots__:
            yield from times_in(f"{where}.{name}", getattr(value, name))


def times_of(*parts: Any) -> dict[str, int]:
    return {
        place: time
        for part in parts
        for name, value in vars(part).items()
        for place, time in times_in(f"{type(part).__name__}.{name}", value)
    }


def pause(part: Any) -> tuple[set[str], set[str]]:
    """Names of the times of a part that a pause moved or forgot, and of those that stayed."""
    names = ("primary_monitor", "throughput", "_lag")
    beside = [getattr(part, name) for name in names if hasattr(part, name)]
    before = times_of(part, *beside)
    part.shift(GAP)
    after = times_of(part, *beside)
    stayed = {place for place, time in before.items() if after.get(place, time + GAP) != time + GAP}
    return _plain({*before} - stayed), _plain(stayed)


def moved_by_a_pause(cluster: Cluster) -> set[str]:
    """Names of the times that a pause of each member moved; all others may stay."""
    moved: set[str] = set()
    for node in cluster.up():
        for part in node.core._timers._moved:
            shifted, stayed = pause(part)
            assert stayed <= STAY
            moved |= shifted
    return moved


def _plain(places: set[str]) -> set[str]:
    return {re.sub(r"\[.*\]", "[]", place) for place in places}


def busy(cluster: Cluster) -> None:
    for number in range(25):
        cluster.request(f"T-{number}")
        cluster.stabilize()


def one_fetches_the_log(cluster: Cluster) -> None:
    cluster.drop(lambda _source, target, _message: target == 3)
    busy(cluster)
    cluster.advance(500)
    cluster.heal()
    cluster.drop(is_kind(m.Entries))
    cluster.advance(1_200)


def one_fetches_a_state(cluster: Cluster) -> None:
    cluster[3].crash()
    busy(cluster)
    cluster.drop(is_kind(m.Groups, m.Entries))
    cluster[3].restart()
    cluster.advance(1_500)


def the_primary_is_silent(cluster: Cluster) -> None:
    busy(cluster)
    cluster[0].crash()
    cluster.request("T-x", to=[1, 2, 3])
    cluster.drop(is_kind(m.NewView))
    cluster.advance(1_800)


def votes_are_waited_for_and_bodies_are_missing(cluster: Cluster) -> None:
    busy(cluster)
    for node in cluster.nodes:
        core = node.core
        core.rejoin_views.on_said(1, view=7)
        core.rejoin_sequences.on_said(2, voting=False)
        core.policy.throughput.on_executed(1, cluster.time, waiting=True)
        core.state.batch_fetches.ask(b"d" * 32, 40)
        core.state.view_change_fetches.ask(b"v" * 32, 0)


MOVED: dict[Callable[[Cluster], None], set[str]] = {
    one_fetches_the_log: {"CatchUp._answer_due", "CatchUp._moved", "Lag.since", "Lag.held_until"},
    one_fetches_a_state: {"Transfer._begun", "Transfer._sources[].due"},
    the_primary_is_silent: {"Suspicion.primary_heard", "Suspicion.suspects[]", "Suspicion._quorum_bound_at"},
    votes_are_waited_for_and_bodies_are_missing: {
        *("RejoinViews._heard[]", "RejoinSequences._waiting[]", "Throughput._since"),
        *("Fetching._fetches[].due", "Retransmission.members[].heard"),
    },
}


@pytest.mark.parametrize("happens", MOVED, ids=lambda each: each.__name__)
def test_r31_a_pause_moves_all_times_of_a_replica(happens: Callable[[Cluster], None]) -> None:
    cluster = Tickets(4, transfer_lag=5 if happens is one_fetches_a_state else 1_000, transfer_tickets=1_000)
    cluster.advance(400)
    happens(cluster)
    moved = moved_by_a_pause(cluster)
    assert MOVED[happens] <= moved


@pytest.mark.parametrize("happens", [one_fetches_the_log, the_primary_is_silent])
def test_r31_a_pause_moves_all_times_of_a_raft_member(happens: Callable[[Cluster], None]) -> None:
    cluster = Cluster(4, mode=Mode.RAFT)
    cluster.advance(400)
    happens(cluster)
    moved = moved_by_a_pause(cluster)
    assert {"Elections.heard", "Elections._waits_since", "Statuses.members[].heard"} <= moved
    assert ("Forwarding._last" in moved) is (happens is the_primary_is_silent)
