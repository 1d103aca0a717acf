"""The contract's cases of partitions, each with the real tables (A52 to A61)."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.protocol.durations import SECOND
from dtvn.protocol.partitions import (
    NEWEST,
    Escalated,
    EventType,
    NotActive,
    PartitionEvent,
    PartitionStatus,
    PartitionType,
    RecoveryFailed,
    RecoveryStrategy,
    Severity,
    WantsJudgement,
    WantsState,
    partition_type,
    severity_of,
)
from tests.partitions.support import EPOCH, Watched

CUT = ("n2", "n3")


def types(watched: Watched) -> list[EventType]:
    return [event.type for event in watched.of(PartitionEvent)]


def test_a52_three_failures_in_a_row_make_a_peer_unreachable() -> None:
    watched = Watched()
    watched.fail("n1", 2)
    assert watched.watch.unreachable_nodes() == ()
    watched.hear("n1")
    watched.fail("n1", 2)
    assert watched.watch.unreachable_nodes() == (), "a success ends the row"
    watched.fail("n1")
    assert watched.watch.unreachable_nodes() == ("n1",)
    health = watched.watch.get_node_health("n1", watched.now)
    assert health is not None
    assert (health.failure_count, health.consecutive_fails, health.is_reachable) == (5, 3, False)
    watched.hear("n1")
    health = watched.watch.get_node_health("n1", watched.now)
    assert health is not None
    assert (health.failure_count, health.consecutive_fails, health.is_reachable) == (5, 0, True)
    assert types(watched) == [EventType.NODE_DOWN, EventType.NODE_UP]


@pytest.mark.parametrize("method", ["heartbeat", "quorum", "gossip", "hybrid"])
def test_a53_too_few_nodes_are_a_partition_at_once_by_any_method(method: str) -> None:
    watched = Watched("n1", 0, detection_method=method, min_nodes_for_operation=2)
    watched.told(watched.watch.set_nodes(["n1", "n2", "n3"], watched.now))
    watched.fail("n2", 3)
    assert not watched.watch.is_partitioned, "two of three are left"
    watched.fail("n3", 2)
    assert not watched.watch.is_partitioned
    watched.fail("n3")
    found = watched.active
    assert (found.type, found.severity) == (PartitionType.ISOLATED, Severity.CRITICAL)
    assert found.unreachable_nodes == ("n2", "n3")
    assert found.reachable_nodes == ("n1",)
    assert found.affected_nodes == ("n1", "n2", "n3")
    assert found.messages == ("lost contact with 2 nodes", "operating in minority partition")


@pytest.mark.parametrize(
    ("reached", "total", "kind"),
    [
        (1, 3, "isolated"),
        (2, 3, "majority"),
        (2, 4, "split"),
        (2, 5, "minority"),
        (3, 5, "majority"),
        (3, 7, "minority"),
        (1, 2, "isolated"),
        (0, 4, "isolated"),  # a watcher that is no node reaches none
    ],
)
def test_a54_the_table_of_types(reached: int, total: int, kind: str) -> None:
    assert partition_type(reached, total) == kind


@pytest.mark.parametrize(
    ("kind", "reached", "least", "severity"),
    [
        ("isolated", 1, 1, "critical"),
        ("minority", 2, 2, "medium"),
        ("minority", 2, 3, "high"),
        ("split", 2, 1, "high"),
        ("majority", 3, 1, "low"),
    ],
)
def test_a54_the_table_of_severities(kind: str, reached: int, least: int, severity: str) -> None:
    assert severity_of(PartitionType(kind), reached, least) == severity


@pytest.mark.parametrize(("lost", "kind"), [(CUT, "split"), (("n1", "n2", "n3"), "isolated")])
def test_a54_a_partition_has_the_type_of_its_side(lost: tuple[str, ...], kind: str) -> None:
    watched = Watched(detection_method="heartbeat")
    watched.pass_seconds(60)
    watched.pass_seconds(20, heard=[peer for peer in watched.peers if peer not in lost])
    assert (watched.active.type, watched.active.unreachable_nodes) == (kind, lost)


def test_a55_more_than_half_of_the_peers_silent_are_a_partition() -> None:
    watched = Watched(detection_method="heartbeat")
    watched.pass_seconds(3)
    watched.pass_seconds(14, heard=["n1", "n2"])
    assert watched.watch.unreachable_nodes() == ("n3",)
    assert not watched.watch.is_partitioned, "one of three peers"
    watched.pass_seconds(8.9, heard=["n1"])
    assert not watched.watch.is_partitioned, "n2 was heard less than heartbeat_timeout ago"
    watched.pass_seconds(5, heard=["n1"])
    assert (watched.active.unreachable_nodes, watched.active.type) == (CUT, PartitionType.SPLIT)


def test_a55_peers_whose_heartbeats_are_regular_are_missed_sooner_by_phi() -> None:
    watched = Watched(detection_method="heartbeat")
    watched.pass_seconds(60)
    watched.pass_seconds(3.3, heard=["n1"])
    health = watched.watch.get_node_health("n2", watched.now)
    assert health is not None
    assert 0 < health.phi < 8
    watched.pass_seconds(3.7, heard=["n1"])
    assert watched.active.unreachable_nodes == CUT, "after eight seconds, not ten"


def test_a56_a_lone_node_is_never_partitioned() -> None:
    for method in ("heartbeat", "quorum", "gossip", "hybrid"):
        watched = Watched("n0", 0, detection_method=method, quorum_size=2, min_nodes_for_operation=2)
        watched.told(watched.watch.set_nodes(["n0"], watched.now))
        watched.pass_seconds(3_600)
        assert (watched.watch.is_partitioned, watched.events) == (False, [])
        assert watched.watch.get_status() is PartitionStatus.UNKNOWN


def test_a56_unregistered_peers_are_forgotten() -> None:
    watched = Watched()
    watched.told(watched.watch.set_nodes(["n0"], watched.now))
    watched.pass_seconds(60, heard=())
    assert not watched.watch.is_partitioned


def test_by_quorum_too_few_reachable_nodes_are_a_partition() -> None:
    watched = Watched(detection_method="quorum", quorum_size=3)
    watched.fail("n3", 3)
    watched.pass_seconds(6, heard=["n1", "n2"])
    assert not watched.watch.is_partitioned
    watched.fail("n2", 3)
    watched.pass_seconds(5, heard=["n1"])
    assert watched.active.unreachable_nodes == CUT


def test_each_method_sees_a_cut_as_the_contracts_table_says() -> None:
    """One of four is still reached; the links to the others break, which is no partition by itself."""
    took: dict[str, float] = {}
    for method in ("heartbeat", "gossip", "quorum", "hybrid"):
        watched = Watched(peers=4, detection_method=method, quorum_size=3, heartbeat_timeout=30 * SECOND)
        watched.pass_seconds(10)
        watched.cut("n2", "n3", "n4")
        assert not watched.watch.is_partitioned, "min_nodes_for_operation is 1"
        seconds = 0.0
        while not watched.watch.is_partitioned:
            watched.pass_seconds(0.5, heard=["n1"])
            seconds += 0.5
        took[method] = seconds
    assert took["quorum"] == took["hybrid"] <= 5
    assert took["heartbeat"] == took["gossip"]
    assert 30 <= took["heartbeat"] <= 40
    alone = Watched(peers=4, detection_method="heartbeat", min_nodes_for_operation=3)
    alone.cut("n2", "n3", "n4")
    assert alone.watch.is_partitioned, "at once, by any method"


def test_a57_hybrid_fires_once_while_a_partition_is_active() -> None:
    watched = Watched(quorum_size=3, min_nodes_for_operation=2)
    watched.pass_seconds(60)
    for _ in range(3):
        watched.pass_seconds(20, heard=())
    watched.fail("n1", 9)
    assert types(watched).count(EventType.NETWORK_SPLIT) == 1
    assert watched.watch.get_metrics(watched.now).partition_count == 1
    assert len(watched.watch.get_partition_history()) == 1


def test_what_becomes_unreachable_meanwhile_joins_the_active_partition() -> None:
    watched = Watched(peers=4, min_nodes_for_operation=4, recovery_strategy="wait")
    watched.cut("n4", "n2")
    assert (watched.active.type, watched.active.severity) == (PartitionType.MAJORITY, Severity.LOW)
    watched.cut("n1", "n3")
    found = watched.active
    assert (found.type, found.severity) == (PartitionType.ISOLATED, Severity.CRITICAL)
    assert (found.reachable_nodes, found.unreachable_nodes) == (("n0",), ("n1", "n2", "n3", "n4"))
    watched.hear("n1", "n2", "n3")
    watched.told(watched.watch.set_nodes(["n0", "n1", "n2", "n3"], watched.now))
    watched.cut("n1")
    assert watched.active.unreachable_nodes == ("n1", "n2", "n3", "n4"), "n4 is no node any more"
    assert types(watched).count(EventType.NETWORK_SPLIT) == 1
    assert watched.watch.get_partition_history() == (watched.active,)


def test_a58_events_carry_the_partition_for_callbacks() -> None:
    watched = Watched(min_nodes_for_operation=3, recovery_strategy="wait")
    watched.cut(*CUT)
    (split,) = [each for each in watched.of(PartitionEvent) if each.type is EventType.NETWORK_SPLIT]
    assert split.partition == watched.active
    assert split.timestamp == EPOCH
    watched.pass_seconds(11)
    (over,) = [each for each in watched.of(PartitionEvent) if each.type is EventType.NETWORK_RECOVERED]
    assert over.partition is not None
    assert (over.partition.id, over.partition.is_active) == (split.partition.id, False)


def test_a59_wait_is_over_when_all_that_were_lost_answer() -> None:
    watched = Watched(min_nodes_for_operation=3, recovery_strategy="wait")
    watched.cut(*CUT)
    assert watched.watch.get_recovery_status().progress == 0
    watched.pass_seconds(30, heard=["n1", "n2"])
    assert watched.watch.is_partitioned, "n3 is still away, though three nodes are enough"
    assert watched.watch.get_recovery_status().progress == 50
    watched.pass_seconds(11)
    assert not watched.watch.is_partitioned
    (known,) = watched.watch.get_partition_history()
    assert known.recovered_at == EPOCH + 40 * SECOND
    metrics = watched.watch.get_metrics(watched.now)
    assert (metrics.is_partitioned, metrics.recovery_count, metrics.failed_recoveries) == (False, 1, 0)
    assert metrics.partition_duration == 40


def test_a59_wait_takes_a_node_that_is_no_node_any_more_as_healed() -> None:
    watched = Watched(min_nodes_for_operation=3, recovery_strategy="wait")
    watched.cut(*CUT)
    watched.told(watched.watch.set_nodes(["n0", "n1", "n2"], watched.now))
    watched.pass_seconds(11, heard=["n1", "n2"])
    assert not watched.watch.is_partitioned


def test_a59_merge_is_over_when_what_is_owed_was_judged() -> None:
    watched = Watched(min_nodes_for_operation=3)
    assert watched.watch.get_status() is PartitionStatus.HEALTHY
    watched.cut(*CUT)
    watched.told(watched.watch.judged(watched.now))
    watched.pass_seconds(30, heard=["n1"])
    assert watched.watch.get_status() is PartitionStatus.PARTITIONED
    assert watched.of(WantsJudgement) == [], "nobody can judge"
    watched.pass_seconds(11, heard=["n1", "n2"])
    assert watched.of(WantsJudgement) == [WantsJudgement(watched.active.id)], "n3 is not needed"
    assert watched.watch.get_recovery_status().in_progress
    assert watched.watch.get_status() is PartitionStatus.RECOVERING
    watched.told(watched.watch.judged(watched.now))
    assert not watched.watch.is_partitioned
    assert watched.watch.get_metrics(watched.now).recovery_count == 1


def test_a59_reset_is_over_when_a_certified_state_was_taken() -> None:
    watched = Watched(min_nodes_for_operation=3, recovery_strategy="reset")
    watched.cut(*CUT)
    watched.pass_seconds(11)
    assert watched.of(WantsState) == [WantsState(watched.active.id)]
    watched.told(watched.watch.judged(watched.now))
    assert watched.watch.is_partitioned, "that is not what was wanted"
    watched.told(watched.watch.took_state(watched.now))
    assert not watched.watch.is_partitioned


@pytest.mark.parametrize("config", [{"recovery_strategy": "manual"}, {"auto_recovery": False}])
def test_a59_manual_stays_until_it_is_resolved(config: dict[str, Any]) -> None:
    watched = Watched(min_nodes_for_operation=3, **config)
    watched.cut(*CUT)
    watched.pass_seconds(3_600)
    found = watched.active
    assert found.requires_operator
    assert watched.of(WantsJudgement) == [], "nothing is tried"
    with pytest.raises(NotActive, match=r"partition_id: 'other' is not active: active is partition-18"):
        watched.watch.resolve_partition("other", "ann", watched.now)
    with pytest.raises(ValueError, match="operator: '' is empty"):
        watched.watch.resolve_partition(found.id, "", watched.now)
    watched.told(watched.watch.resolve_partition(found.id, "ann", watched.now))
    assert not watched.watch.is_partitioned
    (known,) = watched.watch.get_partition_history()
    assert (known.resolved_by, known.recovered_at) == ("ann", watched.now.wall)
    with pytest.raises(NotActive, match="no partition is active"):
        watched.watch.resolve_partition(found.id, "ann", watched.now)


def test_merge_waits_while_more_than_half_of_the_peers_are_away() -> None:
    """By heartbeat alone, quorum or not: else the same cut would be detected again."""
    watched = Watched(detection_method="heartbeat")
    watched.pass_seconds(60)
    watched.pass_seconds(60, heard=["n1"])
    assert watched.watch.is_partitioned
    assert watched.of(WantsJudgement) == []
    watched.pass_seconds(11, heard=["n1", "n2"])
    assert watched.of(WantsJudgement) == [WantsJudgement(watched.active.id)]


def test_the_time_of_a_cut_makes_no_later_cut_harder_to_see() -> None:
    watched = Watched(detection_method="heartbeat", recovery_strategy="wait")
    watched.pass_seconds(60)
    watched.pass_seconds(3_600, heard=["n1"])
    watched.pass_seconds(30)
    assert not watched.watch.is_partitioned
    watched.pass_seconds(8, heard=["n1"])
    assert watched.watch.is_partitioned, "by phi, before heartbeat_timeout"


def test_an_attempt_that_nobody_reports_has_failed_and_is_repeated() -> None:
    watched = Watched(min_nodes_for_operation=3)
    watched.cut(*CUT)
    watched.pass_seconds(41)
    (failed,) = watched.of(RecoveryFailed)
    assert failed.reason == "no report within 30 s"
    assert "recovery failed: state synchronization error" in watched.active.messages
    watched.pass_seconds(11)
    assert len(watched.of(WantsJudgement)) == 2
    watched.told(watched.watch.recovery_failed("no member judges", watched.now))
    assert watched.watch.get_metrics(watched.now).failed_recoveries == 2
    watched.told(watched.watch.judged(watched.now))
    assert watched.watch.is_partitioned, "it was not asked again yet"


def test_a_cut_during_an_attempt_makes_it_fail() -> None:
    watched = Watched(min_nodes_for_operation=3)
    watched.cut(*CUT)
    watched.pass_seconds(11)
    watched.cut(*CUT)
    watched.told(watched.watch.judged(watched.now))
    assert watched.of(RecoveryFailed)[0].reason == "the nodes became unreachable again"
    assert watched.watch.is_partitioned


def test_a60_a_partition_that_lasts_is_escalated_once() -> None:
    watched = Watched(min_nodes_for_operation=3, max_partition_duration=300 * SECOND)
    watched.cut(*CUT)
    assert watched.active.severity is Severity.HIGH
    watched.pass_seconds(299, heard=["n1"])
    assert watched.of(Escalated) == []
    watched.pass_seconds(3_600, heard=["n1"])
    (escalated,) = watched.of(Escalated)
    assert (escalated.partition.severity, watched.active.severity) == (Severity.CRITICAL,) * 2
    watched.pass_seconds(11)
    assert watched.of(WantsJudgement), "recovery is still tried"


def test_a60_an_escalated_partition_that_widens_stays_critical() -> None:
    watched = Watched(
        peers=6, min_nodes_for_operation=7, recovery_strategy="manual", max_partition_duration=60 * SECOND
    )
    watched.cut("n5", "n6")
    watched.pass_seconds(61, heard=["n1", "n2", "n3", "n4"])
    assert watched.active.severity is Severity.CRITICAL
    watched.cut("n4")
    assert watched.active.unreachable_nodes == ("n4", "n5", "n6")
    assert watched.active.severity is Severity.CRITICAL


def test_a61_history_keeps_the_newest_hundred() -> None:
    watched = Watched("n0", 1, min_nodes_for_operation=2, recovery_strategy="manual")
    for number in range(150):
        watched.cut("n1")
        watched.told(watched.watch.resolve_partition(watched.active.id, f"ann{number}", watched.now))
        watched.hear("n1")
        watched.pass_seconds(1)
    assert len(watched.watch.get_partition_history()) == 150, "all of the newest day"
    watched.pass_seconds(26 * 3_600)
    kept = watched.watch.get_partition_history()
    assert [each.resolved_by for each in kept] == [f"ann{number}" for number in range(150 - NEWEST, 150)]


def test_partitions_of_one_nanosecond_have_ids_of_their_own() -> None:
    watched = Watched("n0", 1, min_nodes_for_operation=2)
    for _ in range(2):
        watched.cut("n1")
        watched.told(watched.watch.resolve_partition(watched.active.id, "ann", watched.now))
        watched.hear("n1")
    first, second = watched.watch.get_partition_history()
    assert first.id != second.id


def test_a_host_that_slept_does_not_take_its_own_silence_for_a_cut() -> None:
    watched = Watched(detection_method="heartbeat")
    watched.pass_seconds(60)
    watched.seconds += 3_600
    watched.told(watched.watch.tick(watched.now))
    assert watched.events == []
    watched.pass_seconds(15, heard=())
    assert watched.watch.is_partitioned, "but those that stay silent now are"


def test_quorum_changes_with_the_number_of_nodes() -> None:
    watched = Watched(detection_method="quorum")
    watched.cut("n3")
    assert not watched.watch.is_partitioned
    watched.told(watched.watch.require(4, watched.now))
    watched.pass_seconds(6, heard=["n1", "n2"])
    assert watched.active.unreachable_nodes == ("n3",)
    assert watched.active.recovery_strategy is RecoveryStrategy.MERGE
