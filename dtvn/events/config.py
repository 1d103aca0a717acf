"""Configuration of the distributed validation of events: the contract's objects, their defaults and profiles.

All times are seconds. An invalid object is refused at construction, with a ConfigError that names field,
value and rule. The effective thresholds also depend on the number of members: see
`dtvn.events.judging.DecisionRule`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from dtvn.events.algorithms import OFFERED, ORDERED, Algorithm
from dtvn.events.checked import Checked, ConfigError, with_choices
from dtvn.protocol.partitions import DetectionMethod, RecoveryStrategy
from dtvn.protocol.quorum import Mode
from dtvn.sync import ConflictResolution

__all__ = [
    "Algorithm",
    "Balancing",
    "CLUSTER_FIELDS",
    "CircuitBreakerConfig",
    "ConfigError",
    "ConflictResolution",
    "ConsensusConfig",
    "DetectionMethod",
    "DistributedValidatorConfig",
    "LoadBalancerConfig",
    "MonitoringConfig",
    "OFFERED",
    "ORDERED",
    "PROFILES",
    "PartitionHandlerConfig",
    "RecoveryStrategy",
    "RestartPolicy",
    "SecurityConfig",
    "StateSyncConfig",
    "SyncProtocol",
    "TESTING_STATE_SYNC",
    "algorithms_of",
    "caution",
    "from_profile",
    "read_config",
    "testing_config",
]


_VOTES = (Algorithm.MAJORITY, Algorithm.UNANIMOUS)
_CAUTIONS: dict[str, str] = {
    Algorithm.UNANIMOUS: "Under unanimous one member denies: a single one that lies refuses every run, and "
    "one that is away leaves runs without a verdict.",
    Algorithm.RAFT: "Under raft a lying member is not tolerated: only crashes are survived, so all members "
    "must trust each other.",
}


def algorithms_of(mode: Mode) -> tuple[Algorithm, ...]:
    """The algorithms by which clusters of this mode decide."""
    return (*_VOTES, Algorithm(mode.value))


def caution(algorithm: str) -> str:
    """What a person who chooses this algorithm should know, as a sentence; "" for nothing."""
    return _CAUTIONS.get(algorithm, "")


class Balancing(StrEnum):
    """How the load balancer chooses nodes."""

    ROUND_ROBIN = "round_robin"
    LEAST_CONNECTIONS = "least_connections"
    WEIGHTED_ROUND_ROBIN = "weighted_round_robin"
    CONSISTENT_HASH = "consistent_hash"
    LEAST_RESPONSE_TIME = "least_response_time"
    RANDOM = "random"


class ConsensusConfig(Checked, frozen=True, kw_only=True):
    """How votes become a decision."""

    algorithm: Algorithm = Algorithm.MAJORITY
    min_nodes: int = 1
    quorum_size: int = 1
    """A value below the safe quorum of the members is raised to it."""
    require_unanimous: bool = False
    """Makes majority decide as unanimous does."""
    election_timeout: float = 5.0
    heartbeat_interval: float = 1.0
    max_log_entries: int = 10_000
    byzantine_fault_tolerance: int = 1
    """f of pbft."""
    timeout: float | None = None
    """Seconds for one decision; None: the validator's `validation_timeout`."""

    def _check(self) -> None:
        liars = self.byzantine_fault_tolerance
        if liars < 0:
            raise ConfigError(f"byzantine_fault_tolerance: {liars} is less than 0")
        if self.algorithm is Algorithm.PBFT and self.min_nodes < 3 * liars + 1:
            raise ConfigError(f"min_nodes: {self.min_nodes} is less than 3f + 1 = {3 * liars + 1} for pbft")

    @property
    def effective_algorithm(self) -> Algorithm:
        """The algorithm that decides: `require_unanimous` makes majority decide as unanimous does."""
        strict = self.algorithm is Algorithm.MAJORITY and self.require_unanimous
        return Algorithm.UNANIMOUS if strict else self.algorithm

    def get_required_nodes(self) -> int:
        """Number of nodes that the settings alone ask for."""
        if self.algorithm is Algorithm.UNANIMOUS:
            return self.min_nodes
        if self.algorithm is Algorithm.PBFT:
            return 3 * self.byzantine_fault_tolerance + 1
        return self.quorum_size


class SyncProtocol(StrEnum):
    """When a node exchanges with others, and with whom; the exchange is the same
    (docs/understand/synchronisation.md)."""

    GOSSIP = "gossip"
    MERKLE = "merkle"
    CRDT = "crdt"
    SNAPSHOT = "snapshot"


class StateSyncConfig(Checked, frozen=True, kw_only=True):
    """How nodes exchange the state that no log orders: of a StateSynchronizer
    (docs/understand/synchronisation.md). The platform and its members follow none of it: the log, and their
    own address book, are synchronised as docs/understand/followers.md says."""

    protocol: SyncProtocol = SyncProtocol.GOSSIP
    """When this node exchanges, and with whom."""
    sync_interval: float = 5.0
    """Between two rounds; no effect with `snapshot`."""
    batch_size: int = 100
    """Most items in one message, at most 1,000; fewer where they are large."""
    max_retries: int = 3
    """Attempts for one question, with growing pauses between them; 0 is taken as 1."""
    conflict_resolution: ConflictResolution = ConflictResolution.LAST_WRITE
    """Which value a key has if several nodes wrote it: a view over what each wrote, which stays."""
    enable_compression: bool = True
    """No effect: only what differs is sent, a few items at a time."""
    gossip_fanout: int = 3
    """Peers of one round of `gossip`, at random. The other protocols exchange with all."""
    snapshot_threshold: int = 1000
    """Writes of this node after which `snapshot` exchanges; no effect with the other protocols."""

    def _check(self) -> None:
        if self.max_retries < 0:
            raise ConfigError(f"max_retries: {self.max_retries} is less than 0")


class PartitionHandlerConfig(Checked, frozen=True, kw_only=True):
    """How a validator detects a partition, and when that is over (docs/understand/partitions.md). The
    platform follows `allow_local_validation` alone; whom its members hear is on its page Network."""

    detection_method: DetectionMethod = DetectionMethod.HYBRID
    recovery_strategy: RecoveryStrategy = RecoveryStrategy.MERGE
    heartbeat_timeout: float = 10.0
    """The longest silence that is borne of any member; a value below 3 is raised to it."""
    quorum_size: int = 2
    """Fewer reachable members are a partition, by quorum. A value below the quorum of the members is raised
    to it, and the log says so."""
    max_partition_duration: float = 300.0
    """After this a partition is critical, which is told once."""
    allow_local_validation: bool = True
    """Whether the rules judge in this process alone while no quorum is reached."""
    auto_recovery: bool = True
    """False: only `resolve_partition` ends a partition."""
    recovery_timeout: float = 30.0
    """For one attempt of a recovery by merge or reset; the other strategies need none."""
    min_nodes_for_operation: int = 1
    """Fewer reachable members are a partition at once, by any method."""


class LoadBalancerConfig(Checked, frozen=True, kw_only=True):
    """How a node is chosen for a request, and when one counts as unhealthy."""

    algorithm: Balancing = Balancing.LEAST_RESPONSE_TIME
    health_check_interval: float = 10.0
    unhealthy_threshold: int = 3
    """Failures in a row."""
    healthy_threshold: int = 2
    """Successes in a row."""
    load_update_interval: float = 5.0
    max_load_per_node: float = 0.8
    enable_circuit_breaker: bool = True
    circuit_breaker_threshold: float = 0.5
    """Error rate above which a node's breaker opens."""
    circuit_breaker_timeout: float = 30.0


class RestartPolicy(Checked, frozen=True, kw_only=True):
    """How often and how soon a failed part is restarted."""

    max_restarts: int = 10
    restart_window: float = 300.0
    base_backoff: float = 0.1
    max_backoff: float = 30.0
    backoff_multiplier: float = 2.0

    def _check(self) -> None:
        if self.max_restarts < 0:
            raise ConfigError(f"max_restarts: {self.max_restarts} is less than 0")
        if self.base_backoff > self.max_backoff:
            raise ConfigError(
                f"base_backoff: {self.base_backoff} is greater than max_backoff {self.max_backoff}"
            )
        if not 1 <= self.backoff_multiplier < float("inf"):
            raise ConfigError(f"backoff_multiplier: {self.backoff_multiplier} is less than 1")

    def delay(self, restart: int) -> float:
        """Seconds before a restart; the first is 1."""
        try:
            return min(self.base_backoff * self.backoff_multiplier ** (restart - 1), self.max_backoff)
        except OverflowError:
            return self.max_backoff


class CircuitBreakerConfig(Checked, frozen=True, kw_only=True):
    """The breaker around calls."""

    name: str
    max_failures: int = 5
    """Failures in a row that open it."""
    reset_timeout: float = 60.0
    half_open_max_calls: int = 3
    success_threshold: int = 2
    """Successes in a row that close it again, `half_open_max_calls` at most: there are no more trials."""
    timeout: float = 10.0
    """Seconds for one operation; 0: no limit."""
    should_trip: Callable[[Any], bool] | None = None
    """Called with the Counts after a failure: whether a closed breaker opens, besides `max_failures`."""

    def _check(self) -> None:
        if not self.name:
            raise ConfigError("name: '' is empty")
        if not 0 <= self.timeout < float("inf"):
            raise ConfigError(f"timeout: {self.timeout} is less than 0")


class MonitoringConfig(Checked, frozen=True, kw_only=True):
    """Metrics and health checks."""

    enabled: bool = False
    metrics_interval: float = 30.0
    health_check_url: str = "/health"
    prometheus_enabled: bool = False


class SecurityConfig(Checked, frozen=True, kw_only=True):
    """Links between nodes are encrypted and authenticated and votes are signed in any case: a
    cluster has no other mode, and these fields only say that an operator relies on it."""

    enable_encryption: bool = False
    enable_authentication: bool = False
    sign_messages: bool = False


class DistributedValidatorConfig(Checked, frozen=True, kw_only=True):
    """All settings of one node. The Python name of `goroutine_restart_policy` is `restart_policy`."""

    node_id: str
    consensus_config: ConsensusConfig = ConsensusConfig()
    state_sync: StateSyncConfig = StateSyncConfig()
    load_balancer: LoadBalancerConfig = LoadBalancerConfig()
    partition_handler: PartitionHandlerConfig = PartitionHandlerConfig()
    max_node_failures: int = 2
    validation_timeout: float = 5.0
    heartbeat_interval: float = 1.0
    node_cleanup_interval: float = 300.0
    consensus_timeout: float | None = None
    """Another place for `consensus_config.timeout`."""
    sync_interval: float | None = None
    """Another place for `state_sync.sync_interval`."""
    enable_metrics: bool = True
    consensus_circuit_breaker_config: CircuitBreakerConfig = CircuitBreakerConfig(name="consensus")
    state_sync_circuit_breaker_config: CircuitBreakerConfig = CircuitBreakerConfig(name="state-sync")
    heartbeat_circuit_breaker_config: CircuitBreakerConfig = CircuitBreakerConfig(name="heartbeat")
    restart_policy: RestartPolicy = RestartPolicy()
    bind_address: str = ""
    """"" stands for the address of the node's own settings."""
    discovery_method: str = ""
    """"" stands for the network's own discovery."""
    debug_mode: bool = False
    log_level: str = "INFO"
    monitoring: MonitoringConfig = MonitoringConfig()
    security: SecurityConfig = SecurityConfig()

    def _check(self) -> None:
        if not self.node_id:
            raise ConfigError("node_id: '' is empty")
        if self.max_node_failures < 0:
            raise ConfigError(f"max_node_failures: {self.max_node_failures} is less than 0")
        self._take("consensus_timeout", "consensus_config", "timeout")
        self._take("sync_interval", "state_sync", "sync_interval")

    def _take(self, shortcut: str, part: str, field: str) -> None:
        """Set a part's field that is given at the top; raises ConfigError if the part gives another value."""
        value, owner = getattr(self, shortcut), getattr(self, part)
        set_there = getattr(owner, field)
        if value is None or value == set_there:
            return
        if set_there != getattr(type(owner)(), field):
            raise ConfigError(f"{shortcut}: {value} is not {part}.{field} {set_there}")
        msgspec.structs.force_setattr(self, part, msgspec.structs.replace(owner, **{field: value}))

    @property
    def decision_timeout(self) -> float:
        """Seconds after which a decision is made with the votes received."""
        timeout = self.consensus_config.timeout
        return self.validation_timeout if timeout is None else timeout


CLUSTER_FIELDS = frozenset(
    {
        "consensus_config.algorithm",
        "consensus_config.min_nodes",
        "consensus_config.quorum_size",
        "consensus_config.require_unanimous",
        "consensus_config.byzantine_fault_tolerance",
        "consensus_config.timeout",
        "consensus_timeout",
        "validation_timeout",
        "partition_handler.allow_local_validation",
        # What these can ask for is always done.
        *(f"security.{field}" for field in SecurityConfig.__struct_fields__),
    }
)
"""Dotted names of the fields that the platform and every validator follow."""


PROFILES: dict[str, dict[str, dict[str, Any]]] = {
    "small": {
        "consensus_config": {"algorithm": "majority", "min_nodes": 3, "quorum_size": 2, "timeout": 5.0},
        "load_balancer": {
            "algorithm": "round_robin",
            "enable_circuit_breaker": True,
            "circuit_breaker_threshold": 0.5,
        },
        "partition_handler": {"allow_local_validation": True, "recovery_strategy": "merge"},
    },
    "large": {
        "consensus_config": {
            "algorithm": "raft",
            "min_nodes": 5,
            "quorum_size": 3,
            "timeout": 10.0,
            "heartbeat_interval": 1.0,
        },
        "load_balancer": {
            "algorithm": "least_response_time",
            "enable_circuit_breaker": True,
            "circuit_breaker_threshold": 0.3,
        },
        "state_sync": {"protocol": "gossip", "sync_interval": 30.0},
    },
    "high_security": {
        "consensus_config": {
            "algorithm": "pbft",
            "min_nodes": 4,
            "quorum_size": 3,
            "byzantine_fault_tolerance": 1,
            "timeout": 15.0,
        },
        "security": {"enable_encryption": True, "enable_authentication": True, "sign_messages": True},
    },
}
"""Name -> the fields that differ from the defaults."""


def read_config(values: dict[str, Any]) -> DistributedValidatorConfig:
    """The configuration with these fields, as JSON or TOML give them; null stands for the default. Raises
    ConfigError."""
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return msgspec.convert(given, DistributedValidatorConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(with_choices(str(error), DistributedValidatorConfig)) from error


def from_profile(name: str, node_id: str) -> DistributedValidatorConfig:
    """The profile `name`, with a hyphen or an underscore; raises ConfigError if there is none."""
    fields = PROFILES.get(name.replace("-", "_"))
    if fields is None:
        raise ConfigError(f"profile: {name!r} is none of {', '.join(PROFILES)}")
    return read_config({"node_id": node_id, **fields})


TESTING_STATE_SYNC = StateSyncConfig(
    protocol=SyncProtocol.SNAPSHOT,
    sync_interval=0.01,
    batch_size=5,
    max_retries=1,
    enable_compression=False,
    gossip_fanout=1,
    snapshot_threshold=10,
)
"""The contract's preset `testing` of synchronisation; that of a whole node is `testing_config`."""


def testing_config(node_id: str) -> DistributedValidatorConfig:
    """The contract's preset `testing`, with short times."""
    return DistributedValidatorConfig(
        node_id=node_id,
        state_sync=StateSyncConfig(sync_interval=0.05),
        partition_handler=PartitionHandlerConfig(heartbeat_timeout=0.1),
        validation_timeout=2.0,
        heartbeat_interval=0.1,
        node_cleanup_interval=1.0,
        restart_policy=RestartPolicy(
            max_restarts=0, restart_window=1.0, base_backoff=0.01, max_backoff=0.1, backoff_multiplier=1.0
        ),
    )
