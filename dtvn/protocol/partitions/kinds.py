"""What kind of partition it is, and how bad: two tables."""

from __future__ import annotations

from enum import StrEnum


class PartitionType(StrEnum):
    """Which side of the cut the watching node is on, by the number of nodes that it reaches."""

    ISOLATED = "isolated"
    """It reaches no other."""
    MINORITY = "minority"
    SPLIT = "split"
    """It reaches just half of them."""
    MAJORITY = "majority"
    """It reaches more than half. Whether they can decide is another question: of five members, PBFT needs
    four."""


class Severity(StrEnum):
    """How bad a partition is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


def partition_type(reachable: int, total: int) -> PartitionType:
    """The type, with the watching node counted in both if it is a member."""
    if reachable <= 1:
        return PartitionType.ISOLATED
    if reachable >= total // 2 + 1:
        return PartitionType.MAJORITY
    return PartitionType.SPLIT if 2 * reachable == total else PartitionType.MINORITY


def severity_of(kind: PartitionType, reachable: int, min_nodes: int) -> Severity:
    """The severity; `min_nodes`: reachable nodes with which a minority has something left to do."""
    if kind is PartitionType.MINORITY:
        return Severity.MEDIUM if reachable >= min_nodes else Severity.HIGH
    return SEVERITIES[kind]


SEVERITIES = {
    PartitionType.ISOLATED: Severity.CRITICAL,
    PartitionType.SPLIT: Severity.HIGH,
    PartitionType.MAJORITY: Severity.LOW,
}
"""Of the types whose severity does not depend on numbers."""
