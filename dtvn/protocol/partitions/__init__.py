"""Partitions of the network: seen, told and recovered from, over facts that a host reports. Pure.

`watch` decides; `phi` is the failure detector, `health` the table of nodes, `kinds` the tables of types and
severities, `recovery` the strategies. With a figure and numbers: docs/understand/partitions.md.
"""

from dtvn.protocol.partitions.config import DetectionMethod, RecoveryStrategy, WatchConfig
from dtvn.protocol.partitions.health import FAILURES_IN_A_ROW, NodeHealthInfo
from dtvn.protocol.partitions.history import NEWEST
from dtvn.protocol.partitions.kinds import PartitionType, Severity, partition_type, severity_of
from dtvn.protocol.partitions.moment import Moment
from dtvn.protocol.partitions.phi import PhiAccrual, deviations_of, phi_of
from dtvn.protocol.partitions.recovery import RECOVERY_EVERY
from dtvn.protocol.partitions.values import (
    Escalated,
    EventType,
    PartitionEvent,
    PartitionInfo,
    PartitionMetrics,
    PartitionStatus,
    RecoveryFailed,
    RecoveryStatus,
    WantsJudgement,
    WantsState,
    WatchEvent,
)
from dtvn.protocol.partitions.watch import NotActive, PartitionWatch

__all__ = [
    "DetectionMethod",
    "Escalated",
    "EventType",
    "FAILURES_IN_A_ROW",
    "Moment",
    "NEWEST",
    "NodeHealthInfo",
    "NotActive",
    "PartitionEvent",
    "PartitionInfo",
    "PartitionMetrics",
    "PartitionStatus",
    "PartitionType",
    "PartitionWatch",
    "PhiAccrual",
    "RECOVERY_EVERY",
    "RecoveryFailed",
    "RecoveryStatus",
    "RecoveryStrategy",
    "Severity",
    "WantsJudgement",
    "WantsState",
    "WatchConfig",
    "WatchEvent",
    "deviations_of",
    "partition_type",
    "phi_of",
    "severity_of",
]
