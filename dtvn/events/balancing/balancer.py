"""Chooses nodes for requests. Times are seconds of a monotonic clock; randomness is passed
in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from dtvn.events.balancing.call_breaker import BreakerState
from dtvn.events.balancing.node_load import NodeLoad, NodeLoadInfo
from dtvn.events.balancing.ring import HashRing
from dtvn.events.config import Balancing, LoadBalancerConfig

NODES_MAX = 1_000
"""Most nodes known at once."""
PENALTIES = {BreakerState.CLOSED: 1, BreakerState.HALF_OPEN: 2, BreakerState.OPEN: 10}
"""Factors of the score of least response time."""


class Chance(Protocol):
    """Source of randomness for `random`, and for the two choices of least response time."""

    def sample(self, items: Sequence[str], count: int, /) -> list[str]:
        """`count` different items in random order; `random.Random` has this method."""


class LoadBalancerMetrics(msgspec.Struct, frozen=True):
    """Requests and failures since the start."""

    algorithm: str
    total_requests: int
    total_errors: int
    error_rate: float
    requests_per_node: dict[str, int]
    errors_per_node: dict[str, int]

    @property
    def failed_requests(self) -> int:
        """The contract's other name of `total_errors`."""
        return self.total_errors


class LoadBalancer:
    """Knows the nodes and their state, and chooses among them."""

    def __init__(self, config: LoadBalancerConfig, chance: Chance) -> None:
        self.config = config
        self._chance = chance
        self._nodes: dict[str, NodeLoad] = {}
        self._ring = HashRing()
        self._cursor = 0

    def register_node(self, node: str, now: float) -> None:
        """Adds a node; one that was added before does not change. Raises ValueError if there are NODES_MAX
        already."""
        if node in self._nodes:
            return
        if len(self._nodes) >= NODES_MAX:
            raise ValueError(f"nodes: there are {NODES_MAX} already")
        self._nodes[node] = NodeLoad(node, self.config, now)
        self._ring.add(node)

    def remove_node(self, node: str) -> None:
        """Removes a node; an unknown one is ignored."""
        self._nodes.pop(node, None)
        self._ring.remove(node)

    def set_weight(self, node: str, weight: int) -> None:
        """Share of the node in weighted round robin; 0 for none. Raises KeyError, ValueError."""
        if weight < 0:
            raise ValueError(f"weight: {weight} is less than 0")
        self._nodes[node].weight = weight

    def select_nodes(self, available: Sequence[str], count: int, now: float, key: str = "") -> list[str]:
        """At most `count` of the `available` nodes, the best first. Unhealthy nodes, and those whose breaker
        is open, are left out unless there are no others; overloaded ones unless too few are left.

        `key`: the event's thread (else run, else event) id, for consistent hashing.
        """
        nodes = sorted(set(available))
        if count <= 0 or not nodes:
            return []
        usable = [node for node in nodes if self._usable(node, now)] or nodes
        limit = self.config.max_load_per_node
        light = [
            node for node in usable if (known := self._nodes.get(node)) is None or known.current_load < limit
        ]
        if len(light) >= min(count, len(usable)):
            usable = light
        return self._chosen(usable, min(count, len(usable)), key)

    def admits(self, node: str, now: float) -> bool:
        """Whether the node's breaker lets a request through now; else what is sent to it is a probe. True for
        an unknown node."""
        known = self._nodes.get(node)
        return known is None or known.admits(now)

    def begin_request(self, node: str) -> None:
        """A request is sent to `node`; `end_request` must follow. Raises KeyError."""
        self._nodes[node].begin()

    def end_request(self, node: str) -> None:
        """The request is over, or was given up."""
        if node in self._nodes:
            self._nodes[node].end()

    def record_request(self, node: str, *, success: bool, response_time: float, now: float) -> None:
        """The outcome of a request, which took `response_time` seconds; ignored for an unknown node."""
        if node in self._nodes:
            self._nodes[node].record(success=success, response_time=response_time, now=now)

    def record_probe(self, node: str, *, success: bool, now: float) -> None:
        """The outcome of a ping; ignored for an unknown node."""
        if node in self._nodes:
            self._nodes[node].probe(success=success, now=now)

    def update_node_metrics(self, node: str, load: float, response_time_ms: int, now: float) -> None:
        """What a node reports of itself; ignored for an unknown one."""
        if node in self._nodes:
            self._nodes[node].measure(load, response_time_ms, now)

    def due_probes(self, now: float) -> list[str]:
        """Nodes whose last ping was `health_check_interval` ago, unhealthy ones included."""
        interval = self.config.health_check_interval
        return [name for name, node in sorted(self._nodes.items()) if now - node.probed_at >= interval]

    def get_node_info(self, node: str) -> NodeLoadInfo | None:
        """A copy of what is known of the node; None if it is unknown."""
        known = self._nodes.get(node)
        return known.info() if known else None

    def get_all_nodes_info(self) -> dict[str, NodeLoadInfo]:
        """Copies of what is known of all nodes, by node."""
        return {name: node.info() for name, node in self._nodes.items()}

    def get_metrics(self) -> LoadBalancerMetrics:
        """Sums over the nodes that are known now."""
        infos = self.get_all_nodes_info()
        requests = {name: info.processed_requests for name, info in infos.items()}
        errors = {name: info.failed_requests for name, info in infos.items()}
        total, failed = sum(requests.values()), sum(errors.values())
        rate = failed / total if total else 0.0
        return LoadBalancerMetrics(self.config.algorithm.value, total, failed, rate, requests, errors)

    def _usable(self, node: str, now: float) -> bool:
        known = self._nodes.get(node)
        return known is None or (known.is_healthy and known.admits(now))

    def _chosen(self, nodes: list[str], count: int, key: str) -> list[str]:
        match self.config.algorithm:
            case Balancing.ROUND_ROBIN:
                return self._walk(nodes, count)
            case Balancing.LEAST_CONNECTIONS:
                return sorted(nodes, key=self._connections)[:count]
            case Balancing.WEIGHTED_ROUND_ROBIN:
                return self._walk([node for node in nodes for _ in range(self._weight(node))], count)
            case Balancing.CONSISTENT_HASH:
                return self._on_ring(nodes, count, key)
            case Balancing.LEAST_RESPONSE_TIME:
                return self._fastest(nodes, count)
            case Balancing.RANDOM:
                return self._chance.sample(nodes, count)

    def _walk(self, turns: list[str], count: int) -> list[str]:
        """The next `count` different nodes in turn; fewer if there are fewer."""
        picked: list[str] = []
        different = len(set(turns))
        while len(picked) < min(count, different):
            node = turns[self._cursor % len(turns)]
            self._cursor += 1
            if node not in picked:
                picked.append(node)
        return picked

    def _on_ring(self, nodes: list[str], count: int, key: str) -> list[str]:
        if not key:
            raise ValueError("key: consistent hashing needs the id of a thread, run or event")
        wanted = set(nodes)
        on_ring = [node for node in self._ring.nodes_for(key) if node in wanted]
        return (on_ring + [node for node in nodes if node not in self._ring])[:count]

    def _fastest(self, nodes: list[str], count: int) -> list[str]:
        """The best of twice as many nodes drawn by chance ("two choices", Mitzenmacher 2001): requests do not
        all go to the one node that was fastest a moment ago. Nodes that were never tried come first."""
        untried = [node for node in nodes if (known := self._nodes.get(node)) is None or not known.tried]
        others = [node for node in nodes if node not in untried]
        drawn = self._chance.sample(others, min(2 * count, len(others)))
        return (untried + sorted(drawn, key=self._score))[:count]

    def _score(self, node: str) -> tuple[float, str]:
        known = self._nodes[node]
        if known.response_time_ms is None:
            return float("inf"), node
        rated = known.response_time_ms * (1 + known.current_load) * (1 + known.error_rate)
        return rated * PENALTIES[known.circuit_state], node

    def _connections(self, node: str) -> tuple[int, str]:
        known = self._nodes.get(node)
        return (known.active_connections if known else 0), node

    def _weight(self, node: str) -> int:
        known = self._nodes.get(node)
        return known.weight if known else 1
