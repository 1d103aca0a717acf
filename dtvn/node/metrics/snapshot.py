"""The loop's copy of a node's values by metric name, made once a second and read by the server's threads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from dtvn import __version__
from dtvn.machine import State, kinds_to, public_counts
from dtvn.machine.contract import UNLISTED
from dtvn.machine.reasons import OK
from dtvn.node.hearing import silent_seconds
from dtvn.node.keys import peer_id
from dtvn.node.member import MemberProcess
from dtvn.node.metrics.figures import Figures
from dtvn.protocol import quorum
from dtvn.protocol.consensus.messages import KINDS

Value = float | Mapping[Any, float]
"""A number, or one for each tuple of label values."""

SHOWN_APART = frozenset(
    {
        "suspected",
        "left_view",
        "entered_view",
        "evidence",
        "checkpoint_differs",
        "muted",
        "paused",
        "caught_up",
    }
)
"""Kinds of notes that have their own metric."""

TICKET_KINDS = {
    "tickets_validated_total": kinds_to(State.VALIDATED),
    "tickets_consumed_total": kinds_to(State.CONSUMED),
    "tickets_disputed_total": kinds_to(State.DISPUTED),
}


class MeasuredMember(MemberProcess, Protocol):
    """A member's process with its counters."""

    figures: Figures


class Snapshot(msgspec.Struct, frozen=True):
    """The values of a node's metrics at one time."""

    taken_at: int
    """Monotonic nanoseconds."""
    values: dict[str, Value]


def take(node: MeasuredMember) -> Snapshot:
    """Copy all values; called by the loop's own thread."""
    return Snapshot(
        taken_at=time.monotonic_ns(),
        values={
            **_identity(node),
            **_decided(node.figures),
            **_consensus(node),
            **_said(node.figures),
            **_events(node),
            **_network(node),
            "dtvn_refused_total": dict(node.watcher.refused),
        },
    )


def _identity(node: MeasuredMember) -> dict[str, Value]:
    member = node.genesis.members[node.index]
    count = len(node.genesis.members)
    return {
        "dtvn_node_info": {(node.id, node.cluster.hex(), peer_id(member.public_key)): 1},
        "dtvn_build_info": {(__version__, str(node.membership.version)): 1},
        "dtvn_started_at_seconds": node.started,
        "dtvn_members": count,
        "dtvn_members_needed": quorum.quorum(count, node.membership.mode),
        "dtvn_voting": int(node.voting),
        "dtvn_disk_full": int(node.disk_full),
        "dtvn_contradiction": int(bool(node.halted)),
        "dtvn_awaited_members": len(node.awaited),
        "dtvn_others_are_gone": int(node.core.pinging.vouched),
        "dtvn_log_time_ahead_seconds": node.log_time_ahead,
        "dtvn_log_time_behind_seconds": node.log_time_behind,
        "dtvn_own_clock_doubtful_seconds": node.own_clock_doubtful,
        "dtvn_clock_offset_seconds": {(name,): found for name, found in node.clock_offsets.items()},
        "dtvn_rebuilds_total": node.figures.rebuilds,
    }


def _decided(figures: Figures) -> dict[str, Value]:
    """Operations by outcome; the `consensus_` counters include only those that the consensus log lists."""
    listed: Counter[bool] = Counter()
    applied: Counter[str] = Counter()
    for (kind, code), count in figures.operations.items():
        if kind not in UNLISTED:
            listed[code == OK] += count
        if code == OK:
            applied[kind] += count
    return {
        "consensus_rounds_total": listed.total(),
        "consensus_success_total": listed[True],
        "consensus_failure_total": listed[False],
        **{name: sum(applied[kind] for kind in kinds) for name, kinds in TICKET_KINDS.items()},
        "dtvn_operations_total": dict(figures.operations),
    }


def _consensus(node: MeasuredMember) -> dict[str, Value]:
    core, door, events = node.core, node.host.door, node.watcher.events
    brief = node.brief()
    noted = {(kind,): float(count) for kind, count in events.items() if kind not in SHOWN_APART}
    return {
        "dtvn_view": node.view,
        "dtvn_is_primary": int(brief["is_primary"]),
        "dtvn_changing_view": int(core.state.views.changing),
        "dtvn_suspicions_total": events["suspected"],
        "dtvn_view_changes_attempted_total": events["left_view"],
        "dtvn_view_changes_installed_total": events["entered_view"],
        "dtvn_view_timeout_seconds": core.state.timeouts.timeout / 1e9,
        "dtvn_sequence": node.executed,
        "dtvn_stable_sequence": core.state.log.stable,
        "dtvn_checkpoint_lag": max(0, node.executed - core.state.log.stable),
        "dtvn_checkpoint_interval": core.config.checkpoint_interval,
        "dtvn_behind": _behind(node),
        "dtvn_caught_up_total": events["caught_up"],
        "ticket_state_count": {
            (name,): count for name, count in public_counts(node.application.count_states()).items()
        },
        "dtvn_open_sequences": len(core.state.log.slots),
        "dtvn_waiting_operations": core.policy.size()[1],
        "dtvn_evidence_total": events["evidence"],
        "dtvn_checkpoint_differs_total": events["checkpoint_differs"],
        "dtvn_pauses_total": events["paused"],
        "dtvn_notes_total": noted,
        "dtvn_signatures_verified_total": door.verifications,
        **_gossip(node),
    }


def _gossip(node: MeasuredMember) -> dict[str, Value]:
    """Messages of the overlay; what is remembered as verified, there and of consensus."""
    door, overlay = node.host.door, node.overlay.overlay.figures()
    return {
        "gossip_messages_sent_total": overlay["sent"],
        "gossip_messages_received_total": overlay["received"],
        "gossip_cache_size": node.remembered,
        "gossip_cache_hits_total": door.recognitions + overlay["cache_hits"],
        "gossip_cache_misses_total": door.verifications + overlay["cache_misses"],
    }


def _events(node: MeasuredMember) -> dict[str, Value]:
    kept, judge = node.application.count_kept(), node.judge
    return {
        "dtvn_locks_held": kept["locks"],
        "dtvn_lock_waiters": kept["waiters"],
        "dtvn_runs_kept": kept["runs"],
        "dtvn_event_votes_total": judge.votes,
        "dtvn_event_abstentions_total": judge.abstentions,
    }


def _behind(node: MeasuredMember) -> int:
    """Sequences that f + 1 members report as executed and this node has not: f liars cannot fake a lag."""
    said = sorted((known.status.executed for known in node.core.member_views.values()), reverse=True)
    weak = node.core.config.f + 1
    return max(0, said[weak - 1] - node.executed) if len(said) >= weak else 0


def _said(figures: Figures) -> dict[str, Value]:
    messages: Counter[tuple[str, str]] = Counter()
    for (direction, number), count in figures.messages.items():
        message = KINDS.get(number)
        name = message.__name__ if message is not None else "unknown"
        messages[direction, name] += count
    return {"dtvn_messages_total": dict(messages)}


def _network(node: MeasuredMember) -> dict[str, Value]:
    transport = node.transport
    counters = transport.counters()
    connected = set(transport.connected())
    members = [member.id for index, member in enumerate(node.genesis.members) if index != node.index]
    queues = transport.queues()
    dropped: dict[tuple[str, ...], float] = {}
    for name, link in counters.items():
        dropped[name, "inbound"] = link.dropped_inbound
        dropped[name, "outbound"] = link.dropped_outbound
    return {
        "peer_count": len(connected),
        "network_messages_sent_total": sum(link.frames_sent for link in counters.values()),
        "network_messages_received_total": sum(link.frames_received for link in counters.values()),
        "network_bytes_transmitted_total": sum(link.bytes_sent for link in counters.values()),
        "dtvn_queue_frames": {("inbound",): queues.inbound, ("outbound",): queues.outbound},
        "dtvn_peer_connected": {(name,): float(name in connected) for name in members},
        "dtvn_peer_silent_seconds": silent_seconds(node),
        "dtvn_dropped_frames_total": dropped,
        "dtvn_mutes_total": {(name,): link.mutes for name, link in counters.items()},
        "dtvn_strangers_total": transport.strangers,
    }
