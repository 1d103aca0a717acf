"""How partitions are detected and recovered from: the settings of a watch."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dtvn.protocol.durations import MILLISECOND, SECOND


class DetectionMethod(StrEnum):
    """How a partition is detected."""

    HEARTBEAT = "heartbeat"
    """More than half of the peers are silent."""
    QUORUM = "quorum"
    """Fewer than `quorum_size` nodes are reachable."""
    GOSSIP = "gossip"
    """As heartbeat."""
    HYBRID = "hybrid"
    """Any of these."""


class RecoveryStrategy(StrEnum):
    """When a partition is over. No strategy settles a conflict of decisions, for there is none: members that
    are no quorum decide nothing. What a cut leaves behind is work undone, and verdicts that one process gave
    alone."""

    WAIT = "wait"
    """When each node that was unreachable is reachable again, or is no node any more."""
    MERGE = "merge"
    """When the nodes that can decide have judged what was judged alone meanwhile."""
    RESET = "reset"
    """When the watching node has taken a certified state of the others, and dropped what was judged alone."""
    MANUAL = "manual"
    """When an operator says so."""


class WatchConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a PartitionWatch. Times are nanoseconds. Raises ValueError, naming field, value and
    rule."""

    detection_method: DetectionMethod = DetectionMethod.HYBRID
    recovery_strategy: RecoveryStrategy = RecoveryStrategy.MERGE
    heartbeat_timeout: int = 10 * SECOND
    """The longest silence that is borne of any peer. One whose heartbeats are regular is suspected sooner, by
    phi."""
    quorum_size: int = 2
    min_nodes_for_operation: int = 1
    """Fewer reachable nodes than this are a partition at once."""
    max_partition_duration: int = 300 * SECOND
    """After this it is escalated, once."""
    auto_recovery: bool = True
    """False: only `resolve_partition` ends a partition."""
    recovery_timeout: int = 30 * SECOND
    """Within which the host reports that it did what a strategy wants of it; else the attempt has failed."""
    phi_threshold: float = 8.0
    """The suspicion from which a peer counts as silent."""
    acceptable_pause: int = 3 * SECOND
    """Silence beyond the mean that is no reason for suspicion: at one heartbeat a second, three that are
    lost."""
    deviation_min: int = 100 * MILLISECOND
    """The least standard deviation of inter-arrival times."""
    window: int = 1_000
    """Inter-arrival times remembered of each peer; a heartbeat a second: 17 minutes."""
    samples_min: int = 20
    """Inter-arrival times before which phi says nothing, and `heartbeat_timeout` alone holds."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        least = dict.fromkeys(AT_LEAST_ONE, 1) | {"acceptable_pause": 0, "samples_min": 2}
        for field, smallest in least.items():
            value = getattr(self, field)
            if value < smallest:
                raise ValueError(f"{field}: {value} is less than {smallest}")
        if not 0 < self.phi_threshold < float("inf"):
            raise ValueError(f"phi_threshold: {self.phi_threshold} is not greater than 0")


AT_LEAST_ONE = (
    "heartbeat_timeout",
    "quorum_size",
    "min_nodes_for_operation",
    "max_partition_duration",
    "recovery_timeout",
    "deviation_min",
    "window",
)
"""Fields of whole numbers that are at least 1."""
