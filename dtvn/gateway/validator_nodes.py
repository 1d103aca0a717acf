"""The members of the cluster as the nodes of the contract's validator: where they are, and how they do."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from dtvn.events.balancing import NodeLoadInfo
from dtvn.gateway.events_face import EventFigures
from dtvn.gateway.face import GatewayFace, MemberView
from dtvn.gateway.steps import Steps
from dtvn.gateway.validator_answers import NodeHealth, NodeInfo, NodeState, PartitionInfo, partition
from dtvn.gateway.validator_parts import LoadBalancer

ERROR_RATE_MAX = 0.2
"""Share of its last 20 questions, about itself or about events, that a healthy member may leave
unanswered."""


class ValidatorError(Exception):
    """An operation in the wrong state, or about a node that is no member."""


class Nodes:
    """Which members are reached, and what each answered."""

    def __init__(self, gateway: GatewayFace) -> None:
        self._gateway = gateway
        self._addresses: dict[str, tuple[str, int]] = {}
        self._counting = threading.Lock()
        """Guards what several threads count."""

    def register_node(self, node_id: str, host: str, port: int) -> None:
        """Reach a member at this address from now on. Raises ValidatorError for a node that is no member:
        `manage.py members add` makes one."""
        self._member(node_id)
        self._addresses[node_id] = host, port
        self._gateway.dial(self._addresses)

    def unregister_node(self, node_id: str) -> None:
        """Reach a member at the address that the log has for it; unknown ones are fine."""
        if self._addresses.pop(node_id, None) is not None:
            self._gateway.dial(self._addresses)

    def get_all_nodes(self) -> dict[str, NodeInfo]:
        """All members, by id."""
        lost, figures = self.is_partitioned(), self._gateway.events.figures()
        known = self._gateway.balance().nodes
        return {
            view.id: self._info(view, lost, figures, known.get(view.id)) for view in self._gateway.members()
        }

    def get_nodes(self) -> list[NodeInfo]:
        """All members, by index."""
        return [*self.get_all_nodes().values()]

    def get_load_balancer(self) -> LoadBalancer:
        """Which members are asked."""
        members = [member.id for member in self._gateway.present.members]
        return LoadBalancer(members, self._gateway.events.figures(), self._gateway.balance().nodes)

    def get_node_info(self, node_id: str) -> NodeInfo | None:
        """One member; None for another id."""
        return self.get_all_nodes().get(node_id)

    def get_active_nodes(self) -> list[str]:
        """Ids of the members that are reached."""
        return [view.id for view in self._gateway.members() if view.connected]

    def get_total_nodes(self) -> int:
        """Number of members."""
        return len(self._gateway.present.members)

    def _ping(self, node_id: str, timeout: float) -> Steps[float | None]:
        index, begun = self._member(node_id), time.monotonic()
        answer = yield self._gateway.query(index, "status", wait=timeout)
        if answer.code:
            return None
        return (time.monotonic() - begun) * 1_000

    def _node_health(self, node_id: str, timeout: float) -> Steps[NodeHealth]:
        answered = yield from self._ping(node_id, timeout)
        if answered is None:
            address = self.get_all_nodes()[node_id].address
            return NodeHealth(False, 0.0, 0.0, (f"{node_id} at {address} does not answer",))
        known = self._gateway.balance().nodes.get(node_id)
        errors, load = (known.error_rate, known.current_load) if known else (0.0, 0.0)
        # A member may answer about itself, and never vote.
        errors = max(errors, self._gateway.events.figures().error_rates.get(node_id, 0.0))
        score = 1 - min(1.0, 0.5 * errors + 0.3 * min(1.0, answered / 1_000) + 0.2 * load)
        issues = (f"{node_id} left {errors:.0%} of its last questions",) if errors > ERROR_RATE_MAX else ()
        return NodeHealth(not issues, score, answered, issues)

    def _member(self, node_id: str) -> int:
        for index, member in enumerate(self._gateway.present.members):
            if member.id == node_id:
                return index
        raise ValidatorError(f"{node_id!r} is no member of this cluster")

    def _info(
        self, view: MemberView, lost: bool, figures: EventFigures, known: NodeLoadInfo | None
    ) -> NodeInfo:
        member, asked = self._gateway.present.members[view.index], figures.asked(view.id)
        state = NodeState.SYNCING if view.entering else NodeState.ACTIVE
        if not view.connected:
            state = NodeState.PARTITIONED if lost else NodeState.FAILED
        return NodeInfo(
            view.id,
            "{}:{}".format(*self._addresses.get(view.id, (member.host, member.port))),
            state,
            None if view.heard is None else datetime.now(UTC) - timedelta(seconds=view.heard),
            asked,
            figures.failed(view.id) / asked if asked else 0.0,
            float(known.response_time_ms or 0) if known else 0.0,
            known.current_load if known else 0.0,
        )

    def is_partitioned(self) -> bool:
        """Whether fewer members than a quorum are reached."""
        return self.get_current_partition() is not None

    def get_current_partition(self) -> PartitionInfo | None:
        """Which members are reached and which not, while those reached are no quorum; else None."""
        reached = self.get_active_nodes()
        lost = [each.id for each in self._gateway.present.members if each.id not in reached]
        return partition(reached, lost)
