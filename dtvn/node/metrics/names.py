"""Every metric of a node: name, type, labels, and what it counts. Tests, dashboards and rules use this table.

CONTRACT has the metrics of the Go DTVN, name for name. OPERATORS has all others, named `dtvn_...`.
"""

from __future__ import annotations

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of every histogram of a duration."""

COUNTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0)
"""Upper bounds of histograms that count operations."""


class Metric(msgspec.Struct, frozen=True):
    """One metric family."""

    name: str
    kind: str
    """counter, gauge or histogram."""
    text: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = SECONDS


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, "counter", text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, "gauge", text, labels)


def _histogram(name: str, text: str, *labels: str, bounds: tuple[float, ...] = SECONDS) -> Metric:
    return Metric(name, "histogram", text, labels, bounds)


CONTRACT: tuple[Metric, ...] = (
    _counter("consensus_rounds_total", "Ticket operations decided here: applied and refused."),
    _counter("consensus_success_total", "Ticket operations applied (what the plain consensus log lists)."),
    _counter("consensus_failure_total", "Ticket operations whose ordered outcome is a refusal."),
    _histogram("consensus_latency_seconds", "From the first sight of a proposal to its durable execution."),
    _counter("gossip_messages_sent_total", "Messages of the overlay of members and followers sent."),
    _counter("gossip_messages_received_total", "Messages of the overlay handled."),
    _gauge(
        "gossip_cache_size",
        "Verified messages and rumours that are remembered, so that copies are not verified again.",
    ),
    _counter("gossip_cache_hits_total", "Signature checks saved because the message was remembered."),
    _counter("gossip_cache_misses_total", "Signatures of messages that were not remembered."),
    _gauge("peer_count", "Other members with a live link."),
    _counter("network_messages_sent_total", "Frames sent, to members and principals."),
    _counter("network_messages_received_total", "Frames received, from members and principals."),
    _counter("network_bytes_transmitted_total", "Bytes of the frames sent."),
    _counter("tickets_validated_total", "Applied validations."),
    _counter("tickets_consumed_total", "Applied consumptions and admissions."),
    _counter("tickets_disputed_total", "Applied disputes."),
    _gauge("ticket_state_count", "Tickets by state.", "state"),
    _counter("storage_operations_total", "Calls of the ledger.", "operation"),
    _histogram("storage_latency_seconds", "How long calls of the ledger took.", "operation"),
    _counter("api_requests_total", "Requests to this node's own API.", "method", "endpoint", "status"),
    _histogram("api_latency_seconds", "Answer times of this node's own API.", "method", "endpoint"),
    _gauge("websocket_connections", "Open WebSockets of this node's own API."),
)

OPERATORS: tuple[Metric, ...] = (
    _gauge("dtvn_node_info", "Always 1; the labels identify the node.", "node_id", "cluster", "peer_id"),
    _gauge(
        "dtvn_build_info",
        "Always 1; the labels are the release, and the version of the cluster in its epoch.",
        "version",
        "cluster_version",
    ),
    _gauge("dtvn_started_at_seconds", "When this process began to run the node, Unix time."),
    _gauge("dtvn_figures_age_seconds", "Age of these figures: if over 5, the main loop hangs."),
    _gauge("dtvn_members", "Members of the cluster."),
    _gauge("dtvn_members_needed", "Quorum of the cluster, this node included."),
    _gauge("dtvn_voting", "1 if it votes; 0 if it follows, or its disk is full."),
    _gauge("dtvn_disk_full", "1 if it stopped because its disk is full."),
    _gauge(
        "dtvn_contradiction", "1 if it stopped permanently because two certificates contradict each other."
    ),
    _gauge("dtvn_awaited_members", "Members whose answers it waits for before it votes."),
    _gauge("dtvn_others_are_gone", "1 if -others-are-gone is recorded in its ledger."),
    _gauge("dtvn_view", "Its current view."),
    _gauge("dtvn_is_primary", "1 if it is the primary of its view."),
    _gauge("dtvn_changing_view", "1 if it is changing views."),
    _counter("dtvn_suspicions_total", "Times it suspected the primary."),
    _counter("dtvn_view_changes_attempted_total", "Views it left."),
    _counter("dtvn_view_changes_installed_total", "Views it entered."),
    _gauge("dtvn_view_timeout_seconds", "T: after this long without progress it suspects the primary."),
    _gauge("dtvn_sequence", "Last executed sequence."),
    _gauge("dtvn_stable_sequence", "Sequence of the last stable checkpoint."),
    _gauge("dtvn_checkpoint_lag", "Executed sequences above the last stable checkpoint."),
    _gauge("dtvn_checkpoint_interval", "Sequences from one checkpoint to the next."),
    _gauge("dtvn_behind", "Sequences that f + 1 members have executed and this node has not."),
    _counter("dtvn_caught_up_total", "Times it fetched log entries that it had missed."),
    _counter("dtvn_operations_total", "Operations executed, by kind and outcome code.", "kind", "outcome"),
    _histogram("dtvn_batch_operations", "Operations in an executed batch.", bounds=COUNTS),
    _histogram("dtvn_phase_seconds", "Duration of a phase of one sequence: prepare, commit.", "phase"),
    _gauge("dtvn_open_sequences", "Sequences above the last stable checkpoint held in memory."),
    _gauge("dtvn_waiting_operations", "Operations waiting to be ordered and executed."),
    _gauge("dtvn_queue_frames", "Frames waiting in memory: inbound, outbound.", "direction"),
    _counter(
        "dtvn_messages_total",
        "Messages handled and sent, by kind; a message to all members counts once.",
        "direction",
        "kind",
    ),
    _counter("dtvn_signatures_verified_total", "Signatures verified."),
    _counter("dtvn_refused_total", "Messages refused, by sender and reason.", "peer", "reason"),
    _counter("dtvn_evidence_total", "Pairs of signed statements that prove misbehaviour."),
    _counter("dtvn_checkpoint_differs_total", "CHECKPOINTs that differ from the certified ones."),
    _counter("dtvn_mutes_total", "Times a link was muted for forged or malformed frames.", "peer"),
    _counter("dtvn_strangers_total", "Handshakes refused: keys that genesis does not list."),
    _gauge("dtvn_peer_connected", "1 if there is a live link to this member.", "peer"),
    _gauge(
        "dtvn_peer_silent_seconds",
        "Time since this member was last heard; since the node's start if it never was.",
        "peer",
    ),
    _counter(
        "dtvn_dropped_frames_total",
        "Frames dropped because a queue was full or its peer muted.",
        "peer",
        "direction",
    ),
    _gauge(
        "dtvn_clock_offset_seconds",
        "Own machine's clock minus that of this member's, network delay included.",
        "peer",
    ),
    _gauge(
        "dtvn_log_time_ahead_seconds",
        "How far log time is ahead of this node's clock; 0 within the drift bound.",
    ),
    _gauge(
        "dtvn_log_time_behind_seconds",
        "How far the newest proposal was behind this node's clock; 0 within what is allowed.",
    ),
    _gauge(
        "dtvn_own_clock_doubtful_seconds",
        "How far its clock is ahead of the time it goes by, if others do not confirm a step; else 0.",
    ),
    _counter("dtvn_pauses_total", "Times this process found that it had been paused."),
    _counter("dtvn_rebuilds_total", "Times the core was rebuilt from the ledger after a lost turn."),
    _counter(
        "dtvn_api_unforeseen_errors_total",
        "Unexpected failures of this node's own API, its live feed included.",
    ),
    _gauge("dtvn_locks_held", "Locks that are held, leaderships included."),
    _gauge("dtvn_lock_waiters", "Holders that wait for a lock."),
    _gauge("dtvn_runs_kept", "Runs of agent events that the log knows."),
    _counter("dtvn_event_votes_total", "Votes on agent events that this node signed."),
    _counter("dtvn_event_abstentions_total", "Questions about agent events that it gave no vote on."),
    _counter("dtvn_notes_total", "Other events of the core, by kind.", "kind"),
    _gauge("dtvn_disk_free_bytes", "Free space where the node's folder is."),
    _gauge("dtvn_disk_size_bytes", "Size of the file system where the node's folder is."),
    _gauge("dtvn_ledger_bytes", "Bytes of the files in the ledger's folder."),
    _gauge(
        "dtvn_disk_full_in_seconds", "Time until the disk is full at the rate of the last hour; +Inf: never."
    ),
)

ALL = CONTRACT + OPERATORS
BY_NAME = {metric.name: metric for metric in ALL}


def counter(name: str, registry: CollectorRegistry) -> Counter:
    """A counter of the table."""
    return Counter(name, BY_NAME[name].text, BY_NAME[name].labels, registry=registry)


def gauge(name: str, registry: CollectorRegistry) -> Gauge:
    """A gauge of the table."""
    return Gauge(name, BY_NAME[name].text, BY_NAME[name].labels, registry=registry)


def histogram(name: str, registry: CollectorRegistry) -> Histogram:
    """A histogram of the table."""
    metric = BY_NAME[name]
    return Histogram(name, metric.text, metric.labels, registry=registry, buckets=metric.bounds)
