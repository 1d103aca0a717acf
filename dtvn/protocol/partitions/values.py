"""What a watch tells: a partition, events for callbacks, and what it wants of its host."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from dtvn.protocol.partitions.config import RecoveryStrategy
from dtvn.protocol.partitions.kinds import PartitionType, Severity

IN_MINORITY = "operating in minority partition"
SYNC_FAILED = "recovery failed: state synchronization error"


class PartitionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One partition. Times are Unix nanoseconds. Nodes that become unreachable while it is active join it,
    and its type follows; those that return stay listed. Its severity never falls, and an escalation makes it
    critical."""

    id: str
    """"partition-" and the nanosecond of its detection."""
    detected_at: int
    reachable_nodes: tuple[str, ...]
    """The watching node first, if it is a member."""
    unreachable_nodes: tuple[str, ...]
    type: PartitionType
    severity: Severity
    recovery_strategy: RecoveryStrategy
    recovered_at: int | None = None
    is_active: bool = True
    requires_operator: bool = False
    """Whether only `resolve_partition` ends it."""
    escalated: bool = False
    resolved_by: str = ""
    """The operator that ended it; "": none."""
    failed_recoveries: int = 0
    """Attempts of recovery that failed."""

    @property
    def affected_nodes(self) -> tuple[str, ...]:
        """All nodes, the reachable ones first."""
        return self.reachable_nodes + self.unreachable_nodes

    @property
    def messages(self) -> tuple[str, ...]:
        """What is wrong, in the founding system's sentences."""
        lost = len(self.unreachable_nodes)
        told = [f"lost contact with {lost} node{'s' if lost != 1 else ''}"]
        if self.type is not PartitionType.MAJORITY:
            told.append(IN_MINORITY)
        if self.failed_recoveries:
            told.append(SYNC_FAILED)
        return tuple(told)


class EventType(IntEnum):
    """Types of a PartitionEvent."""

    UNKNOWN = 0
    NODE_DOWN = 1
    NODE_UP = 2
    NETWORK_SPLIT = 3
    NETWORK_RECOVERED = 4


class PartitionEvent(msgspec.Struct, frozen=True):
    """Something that has happened, for callbacks, pages and logs."""

    type: EventType
    node_id: str
    """The peer that is down or up; "" for a partition."""
    timestamp: int
    """Unix nanoseconds."""
    details: str
    """One sentence."""
    partition: PartitionInfo | None = None
    """The partition that was detected, or is over."""


class Escalated(msgspec.Struct, frozen=True):
    """A partition has lasted longer than `max_partition_duration`: told once."""

    partition: PartitionInfo


class RecoveryFailed(msgspec.Struct, frozen=True):
    """An attempt of recovery has failed; another follows."""

    partition: PartitionInfo
    reason: str


class WantsJudgement(msgspec.Struct, frozen=True):
    """Strategy merge: have judged what is owed a judgement, then call `judged`; at once if nothing is owed.
    Told again after an attempt that failed."""

    partition_id: str


class WantsState(msgspec.Struct, frozen=True):
    """Strategy reset: take a certified state, drop what was judged alone, then call `took_state`."""

    partition_id: str


WatchEvent = PartitionEvent | Escalated | RecoveryFailed | WantsJudgement | WantsState


class PartitionStatus(IntEnum):
    """A watch in one word."""

    UNKNOWN = 0
    """It knows of no other node."""
    HEALTHY = 1
    PARTITIONED = 2
    RECOVERING = 3
    """The nodes are reached again, and the host is doing its part."""


class RecoveryStatus(msgspec.Struct, frozen=True):
    """How far the recovery from the active partition is."""

    in_progress: bool
    """Whether the host was asked for something, and has not reported it yet."""
    strategy: RecoveryStrategy
    progress: float
    """Percent, 0 to 100, of the lost nodes that are reachable again; half of it while the host is still to do
    its part. 100 without a partition."""


class PartitionMetrics(msgspec.Struct, frozen=True):
    """Counts of one watch."""

    is_partitioned: bool
    partition_count: int
    recovery_count: int
    failed_recoveries: int
    partition_duration: float
    """Seconds of the active partition so far, or of the newest one; 0 without any."""
    history_size: int
