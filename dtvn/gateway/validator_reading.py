"""What a validator tells of itself (contract 2.2): configuration, parts, figures, health."""

from __future__ import annotations

from dtvn.events.balancing import CallBreakers, Stats
from dtvn.events.config import (
    Algorithm,
    CircuitBreakerConfig,
    ConfigError,
    ConsensusConfig,
    DistributedValidatorConfig,
    PartitionHandlerConfig,
)
from dtvn.events.judging import AlgorithmNotOffered, DecisionRule
from dtvn.gateway.face import GatewayFace
from dtvn.gateway.state_sync import StateSynchronizer
from dtvn.gateway.validator_answers import ComponentState, Health, Metrics
from dtvn.gateway.validator_meter import Meter
from dtvn.gateway.validator_nodes import Nodes, ValidatorError
from dtvn.gateway.validator_parts import CircuitBreaker, ConsensusManager, known_leader
from dtvn.protocol import quorum


class Reading(Nodes):
    """The settings and counts of a validator; nothing here asks a member."""

    def __init__(
        self,
        gateway: GatewayFace,
        algorithm: Algorithm | None,
        actor: str,
        wait: float,
        partitions: PartitionHandlerConfig,
        breaker: CircuitBreakerConfig,
    ) -> None:
        """See the validator."""
        super().__init__(gateway, partitions)
        self._algorithm = algorithm
        self._config: DistributedValidatorConfig | None = None
        self._actor = actor
        self._wait = wait
        self._state = ComponentState.INITIALIZED
        self._meter = Meter()
        self._breakers = CallBreakers()
        self._breaker = self._breakers.get(breaker)
        self._synchronizer: StateSynchronizer | None = None

    def get_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._state is ComponentState.STARTED

    def get_state(self) -> ComponentState:
        """How far its life is."""
        return self._state

    def get_config(self) -> DistributedValidatorConfig:
        """The configuration in effect: that of `from_config`, or what the arguments say."""
        if self._config is not None:
            return self._config
        members, mode = self.get_total_nodes(), self._gateway.present.mode
        try:
            rule = self._gateway.events.rule(self._algorithm)
        except (AlgorithmNotOffered, ConfigError):  # then the algorithm that was asked for
            needed = quorum.quorum(members, mode)
            rule = DecisionRule(self._algorithm or Algorithm(mode.value), members, needed, mode)
        consensus = ConsensusConfig(
            algorithm=rule.algorithm,
            min_nodes=members,
            quorum_size=rule.needed,
            byzantine_fault_tolerance=quorum.faults(members, mode),
        )
        return DistributedValidatorConfig(
            node_id=self._actor,
            consensus_config=consensus,
            validation_timeout=self._wait,
            partition_handler=self._partitions.get_config(),
        )

    def get_consensus_manager(self) -> ConsensusManager:
        """How the members decide."""
        consensus = self.get_config().consensus_config
        return ConsensusManager(self._gateway, consensus, self.get_metrics(), self.get_health())

    def get_state_synchronizer(self) -> StateSynchronizer | None:
        """What keeps state that no log orders alike with other processes, if it was given one."""
        return self._synchronizer

    def get_metrics(self) -> Metrics:
        """Counts and means of all calls so far."""
        return self._meter.metrics(self._gateway)

    def get_circuit_breakers(self) -> list[Stats]:
        """The breakers around calls, by name. Those of the members are in `get_load_balancer`."""
        return self._breakers.stats()

    def get_circuit_breaker(self, name: str) -> CircuitBreaker:
        """The breaker around calls with this name, to look at, reset or trip. Raises ValidatorError."""
        breaker = self._breakers.named(name)
        if breaker is None:
            raise ValidatorError(f"there is no circuit breaker {name!r}")
        return CircuitBreaker(breaker, self._counting)

    def get_health(self) -> Health:
        """The health of the cluster, as far as it can be seen from here."""
        reached, total = self.get_active_nodes(), self.get_total_nodes()
        found = self.get_current_partition()
        lost = [each.id for each in self._gateway.present.members if each.id not in reached]
        issues = [f"{node_id} is not reached" for node_id in lost]
        decides = not self._alone()
        if not decides:
            issues.append(f"{len(reached)} of {total} members are no quorum")
        elif lacks := self._lacking(len(reached), total):
            decides = False
            issues.append(lacks)
        issues += found.messages if found is not None else ()
        if not self.get_running():
            issues.append("the validator is not running")
        refused = [node_id for node_id, node in self.get_load_balancer().nodes.items() if node.circuit_state]
        issues += [f"the circuit breaker of {node_id} is not closed" for node_id in refused]
        if state := self._breaker.state:
            issues.append(f"the circuit breaker consensus is {state.name.lower().replace('_', '-')}")
        well = not (lost or refused or self._breaker.state)
        healthy = self.get_running() and decides and found is None
        return Health(healthy, len(reached), total, decides, well, tuple(issues))

    def _lacking(self, reached: int, total: int) -> str:
        """Why `reached` of `total` members cannot decide; "" if they can."""
        try:
            rule = self._gateway.events.rule(self._algorithm)
        except (AlgorithmNotOffered, ConfigError) as error:
            return str(error)
        if reached < rule.needed:
            return f"{rule.algorithm} needs {rule.needed} of {total} members, and {reached} are reached"
        if rule.algorithm is Algorithm.RAFT and not known_leader(self._gateway.members()):
            return "no leader is known: the members elect one"
        return ""
