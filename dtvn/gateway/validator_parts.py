"""Parts of a validator that the contract names (2.2): transport, consensus manager, load balancer. Views."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from dtvn.events.balancing import BreakerState, CallBreaker, LoadBalancerMetrics, NodeLoadInfo, Stats
from dtvn.events.config import Balancing, ConsensusConfig
from dtvn.gateway.events_face import EventFigures
from dtvn.gateway.face import GatewayFace
from dtvn.gateway.validator_answers import ConnectionStatus, Health, Metrics
from dtvn.watch import MemberReport


class Issues(msgspec.Struct, frozen=True):
    """The health of one part."""

    issues: tuple[str, ...]
    """What is wrong, in sentences; () if it is healthy."""


class TransportStats(msgspec.Struct, frozen=True):
    """Counts of the gateway's links since it last dialled the members."""

    active_connections: int
    total_connections: int
    """Connections made, those that ended included."""
    bytes_sent: int
    bytes_received: int
    connection_errors: int
    """Failed handshakes, and connections that broke."""


class Transport:
    """The encrypted links to the members."""

    def __init__(self, gateway: GatewayFace, ping: Callable[..., Any]) -> None:
        self._gateway = gateway
        self.ping = ping
        """`ping` of the validator: milliseconds until a member answered, or None."""

    def get_stats(self) -> TransportStats:
        """Counts of all links."""
        links = self._gateway.links().values()
        return TransportStats(
            active_connections=sum(view.connected for view in self._gateway.members()),
            total_connections=sum(link.connects for link in links),
            bytes_sent=sum(link.bytes_sent for link in links),
            bytes_received=sum(link.bytes_received for link in links),
            connection_errors=sum(link.handshake_failures + link.disconnects for link in links),
        )

    def get_status(self, node_id: str) -> ConnectionStatus:
        """State of the link to one member."""
        linked = {view.id: view.connected for view in self._gateway.members()}
        link = self._gateway.links().get(node_id)
        if link is None:
            return ConnectionStatus.UNKNOWN
        if linked.get(node_id):
            return ConnectionStatus.CONNECTED
        if link.connects:
            return ConnectionStatus.DISCONNECTED
        return ConnectionStatus.ERROR if link.handshake_failures else ConnectionStatus.CONNECTING

    def get_health(self) -> Issues:
        """The members that are not reached."""
        lost = [view.id for view in self._gateway.members() if not view.connected]
        return Issues(tuple(f"{node_id} is not reached" for node_id in lost))


class ConsensusMetrics(msgspec.Struct, frozen=True):
    """How the members decided the calls of one validator."""

    total_operations: int
    success_rate: float
    """Share with a verdict, 0 to 1; 0 without operations."""
    avg_latency_ms: float
    current_leader: str
    """See known_leader."""


def known_leader(members: Sequence[MemberReport]) -> str:
    """Member id of the primary, or Raft's leader, of the ordered log; "" while the members that are in its
    view, or term, say that it has not begun."""
    leader = next((view for view in members if view.primary), None)
    if leader is None:
        return ""
    newest = max(view.view for view in members)
    said = [view.changing for view in members if view.connected and view.view == newest]
    return "" if said and all(said) else leader.id


class ConsensusManager:
    """How votes become decisions."""

    def __init__(
        self, gateway: GatewayFace, config: ConsensusConfig, metrics: Metrics, health: Health
    ) -> None:
        self._gateway = gateway
        self._config = config
        self._metrics = metrics
        self._health = health

    def get_config(self) -> ConsensusConfig:
        """The settings in effect."""
        return self._config

    def get_required_nodes(self) -> int:
        """Number of nodes that these settings ask for (contract 3.1)."""
        return self._config.get_required_nodes()

    def get_metrics(self) -> ConsensusMetrics:
        """Figures of the calls so far."""
        metrics = self._metrics
        total = metrics.consensus_operations
        decided = (total - metrics.consensus_failures) / total if total else 0.0
        leader = known_leader(self._gateway.members())
        return ConsensusMetrics(total, decided, metrics.avg_consensus_time_ms, leader)

    def get_health(self) -> Issues:
        """Why nothing can be decided."""
        return Issues(() if self._health.consensus_healthy else self._health.issues)


class CircuitState(msgspec.Struct, frozen=True):
    """What a breaker does now, and why."""

    state: BreakerState
    consecutive_failures: int


class CircuitBreaker:
    """A breaker around the calls of one validator."""

    def __init__(self, breaker: CallBreaker, guard: AbstractContextManager[object]) -> None:
        """`guard`: the lock around every use of the breaker."""
        self._breaker = breaker
        self._guard = guard

    def get_state(self) -> CircuitState:
        """The state in which its last call left it."""
        with self._guard:
            return CircuitState(self._breaker.state, self._breaker.counts.consecutive_failures)

    def get_stats(self) -> Stats:
        """Its counts."""
        with self._guard:
            return self._breaker.stats()

    def reset(self) -> None:
        """Close it, and forget what was counted."""
        with self._guard:
            self._breaker.reset()

    def trip(self) -> None:
        """Open it: no member is asked until its `reset_timeout` has passed."""
        with self._guard:
            self._breaker.trip(time.monotonic())


class NodeCircuitBreaker:
    """The breaker of one member as an entry node; the gateway steps it."""

    def __init__(self, node: NodeLoadInfo) -> None:
        self._node = node

    def get_state(self) -> CircuitState:
        """The state when the load balancer was asked for."""
        return CircuitState(self._node.circuit_state, self._node.consecutive_fails)


class LoadBalancer:
    """Which members are asked first: those next to the thread on a ring, by consistent hash."""

    def __init__(self, members: Sequence[str], figures: EventFigures, nodes: dict[str, NodeLoadInfo]) -> None:
        self.nodes = {
            name: msgspec.structs.replace(node, active_connections=figures.awaited.get(name, 0))
            for name, node in nodes.items()
        }
        """What the gateway knows of the members as entry nodes, by id, which it asks once a second;
        `active_connections`: questions about events whose answer may still come."""
        self._asked = {member: figures.asked(member) for member in members}
        self._failed = {member: count for member in members if (count := figures.failed(member))}

    def get_circuit_breaker(self, node_id: str) -> NodeCircuitBreaker:
        """A member's breaker. Raises KeyError for a node that is no member."""
        return NodeCircuitBreaker(self.nodes[node_id])

    def get_metrics(self) -> LoadBalancerMetrics:
        """Questions about events that the gateway asked, and those without a usable answer."""
        total, failed = sum(self._asked.values()), sum(self._failed.values())
        rate = failed / total if total else 0.0
        algorithm = Balancing.CONSISTENT_HASH.value
        return LoadBalancerMetrics(algorithm, total, failed, rate, self._asked, self._failed)
