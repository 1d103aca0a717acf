"""Laws of the watch for any sequence of facts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dtvn.protocol.durations import SECOND
from dtvn.protocol.partitions import (
    NEWEST,
    Escalated,
    EventType,
    PartitionEvent,
    PhiAccrual,
    RecoveryFailed,
    WantsJudgement,
    WantsState,
    deviations_of,
    phi_of,
)
from dtvn.protocol.partitions.history import DAY, History
from tests.partitions.support import Watched

SOME = 25


@given(st.floats(-40, 1e6), st.floats(0, 1e6))
def test_phi_never_falls_with_distance(deviations: float, more: float) -> None:
    assert 0 <= phi_of(deviations) <= phi_of(deviations + more)


@given(
    st.lists(st.integers(1, 20 * SECOND), min_size=2, max_size=50),
    st.lists(st.integers(0, 3_600 * SECOND), min_size=2, max_size=20),
)
def test_phi_grows_with_silence(intervals: list[int], silences: list[int]) -> None:
    found = PhiAccrual(0, window=20, deviation_min=SECOND // 10, pause=SECOND)
    now = 0
    for interval in intervals:
        now += interval
        found.heard(now)
    levels = [found.phi(now + silence) for silence in sorted(silences)]
    assert levels == sorted(levels)
    limit = found.limit(deviations_of(8))
    assert found.phi(now + limit) >= 8 - 1e-6
    assert found.phi(now + limit - SECOND // 1_000) < 8


@given(st.integers(0, 400), st.integers(0, DAY // 100), st.integers(0, 3 * DAY))
@settings(max_examples=SOME)
def test_history_has_all_of_a_day_and_the_newest_in_any_case(count: int, gap: int, later: int) -> None:
    history, now, added = History(), 0, []
    watched = Watched("n0", 1, min_nodes_for_operation=2)
    watched.cut("n1")
    for _ in range(count):
        now += gap
        history.add(watched.active, now)
        added.append(now)
    now += later
    history.clean(now)
    young = sum(at >= now - DAY for at in added)
    assert len(history) == max(young, min(NEWEST, len(added)))


class Watching(RuleBasedStateMachine):
    """Facts in any order, in virtual time; nothing is reported but what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = Watched("n0", 4)

    @rule(
        method=st.sampled_from(["heartbeat", "quorum", "gossip", "hybrid"]),
        strategy=st.sampled_from(["wait", "merge", "reset", "manual"]),
        least=st.integers(1, 4),
        automatic=st.booleans(),
    )
    @precondition(lambda self: not self.watched.events and not self.watched.seconds)
    def begin(self, method: str, strategy: str, least: int, automatic: bool) -> None:
        self.watched = Watched(
            "n0",
            4,
            detection_method=method,
            recovery_strategy=strategy,
            min_nodes_for_operation=least,
            auto_recovery=automatic,
        )

    @rule(peer=st.sampled_from(["n1", "n2", "n3", "n4", "n0"]), times=st.integers(1, 4))
    def fail(self, peer: str, times: int) -> None:
        self.watched.fail(peer, times)

    @rule(peers=st.sets(st.sampled_from(["n1", "n2", "n3", "n4"])))
    def cut(self, peers: set[str]) -> None:
        self.watched.cut(*sorted(peers))

    @rule(
        seconds=st.sampled_from([0.5, 3.0, 11.0, 35.0, 320.0]),
        heard=st.sets(st.sampled_from(["n1", "n2", "n3", "n4"])),
    )
    def wait(self, seconds: float, heard: set[str]) -> None:
        self.watched.pass_seconds(seconds, sorted(heard))

    @rule(kept=st.sets(st.sampled_from(["n1", "n2", "n3", "n4"])))
    def change_nodes(self, kept: set[str]) -> None:
        self.watched.told(self.watched.watch.set_nodes(["n0", *sorted(kept)], self.watched.now))

    @rule(succeeds=st.booleans())
    def report(self, succeeds: bool) -> None:
        watch, now = self.watched.watch, self.watched.now
        if not succeeds:
            self.watched.told(watch.recovery_failed("told to", now))
        else:
            self.watched.told(watch.judged(now))
            self.watched.told(watch.took_state(now))

    @rule()
    def resolve(self) -> None:
        active = self.watched.watch.get_current_partition()
        if active is not None:
            self.watched.told(self.watched.watch.resolve_partition(active.id, "ann", self.watched.now))

    @invariant()
    def one_partition_is_active_at_a_time(self) -> None:
        watch = self.watched.watch
        active = [each for each in watch.get_partition_history() if each.is_active]
        current = watch.get_current_partition()
        assert active == ([] if current is None else [current])
        assert watch.is_partitioned is (current is not None)

    @invariant()
    def each_partition_is_told_at_its_beginning_and_end(self) -> None:
        changes = {EventType.NETWORK_SPLIT, EventType.NETWORK_RECOVERED}
        told = [each.type for each in self.watched.of(PartitionEvent) if each.type in changes]
        pair = [EventType.NETWORK_SPLIT, EventType.NETWORK_RECOVERED]
        assert told == (pair * len(told))[: len(told)]
        metrics = self.watched.watch.get_metrics(self.watched.now)
        assert metrics.partition_count == told.count(EventType.NETWORK_SPLIT)
        assert metrics.recovery_count == told.count(EventType.NETWORK_RECOVERED)
        assert metrics.failed_recoveries == len(self.watched.of(RecoveryFailed))

    @invariant()
    def nodes_are_on_one_side(self) -> None:
        watch = self.watched.watch
        for info in watch.get_partition_history():
            assert not set(info.reachable_nodes) & set(info.unreachable_nodes)
            assert info.unreachable_nodes
            assert info.reachable_nodes[0] == "n0"
            assert (info.recovered_at is None) is info.is_active

    @invariant()
    def each_is_escalated_at_most_once(self) -> None:
        escalated = [each.partition.id for each in self.watched.of(Escalated)]
        assert len(escalated) == len(set(escalated))

    @invariant()
    def a_deadline_is_never_far(self) -> None:
        due = self.watched.watch.deadline()
        assert due is not None
        assert due <= self.watched.now.monotonic + 10 * SECOND

    @invariant()
    def only_what_a_strategy_needs_is_wanted(self) -> None:
        strategies = {each.id: each.recovery_strategy for each in self.watched.watch.get_partition_history()}
        for wanted in self.watched.of(WantsJudgement):
            assert strategies[wanted.partition_id] == "merge"
        for wanted in self.watched.of(WantsState):
            assert strategies[wanted.partition_id] == "reset"


Watching.TestCase.settings = settings(max_examples=SOME, stateful_step_count=25, deadline=None)
TestWatching = Watching.TestCase
