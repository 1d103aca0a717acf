"""The members of the cluster as the nodes of the contract's validator: where they are, and how they do."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from dtvn.events.balancing import NodeLoadInfo
from dtvn.events.config import PartitionHandlerConfig
from dtvn.gateway.events_face import EventFigures
from dtvn.gateway.face import GatewayFace
from dtvn.gateway.steps import Steps
from dtvn.gateway.validator_answers import NodeHealth, NodeInfo, NodeState, PartitionInfo
from dtvn.gateway.validator_partitions import Callback, Partitions
from dtvn.gateway.validator_parts import LoadBalancer
from dtvn.protocol import quorum
from dtvn.watch import MemberReport

ERROR_RATE_MAX = 0.2
"""Share of its last 20 questions, about itself or about events, that a healthy member may leave
unanswered."""


class ValidatorError(Exception):
    """An operation in the wrong state, or about a node that is no member."""


def _state_of(view: MemberReport, lost: bool, away: bool) -> NodeState:
    """`lost`: the watch takes it for unreachable; `away`: it is unreachable in the active partition."""
    if view.connected and not lost:
        return NodeState.SYNCING if view.entering else NodeState.ACTIVE
    return NodeState.PARTITIONED if away else NodeState.FAILED


class Nodes:
    """Which members are reached, and what each answered."""

    def __init__(self, gateway: GatewayFace, partitions: PartitionHandlerConfig) -> None:
        self._gateway = gateway
        self._addresses: dict[str, tuple[str, int]] = {}
        self._counting = threading.Lock()
        """Guards what several threads count."""
        self._partitions = Partitions(gateway, partitions, self._needed)

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
        found, figures = self.get_current_partition(), self._gateway.events.figures()
        lost, away = self._partitions.unreachable(), found.unreachable_nodes if found else ()
        known = self._gateway.balance().nodes
        return {
            view.id: self._info(
                view, _state_of(view, view.id in lost, view.id in away), figures, known.get(view.id)
            )
            for view in self._gateway.members()
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
        """Ids of the members that are reached: linked, and not silent for longer than is borne."""
        lost = self._partitions.unreachable()
        return [view.id for view in self._gateway.members() if view.connected and view.id not in lost]

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
        self, view: MemberReport, state: NodeState, figures: EventFigures, known: NodeLoadInfo | None
    ) -> NodeInfo:
        member, asked = self._gateway.present.members[view.index], figures.asked(view.id)
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

    def get_partition_handler(self) -> Partitions:
        """The watch for partitions, with its figures."""
        return self._partitions

    def is_partitioned(self) -> bool:
        """Whether a partition is active: see `get_current_partition`. Members that are enough decide
        meanwhile, and without them the rules judge here alone, if they may."""
        return self._partitions.is_partitioned()

    def get_current_partition(self) -> PartitionInfo | None:
        """The partition that was detected and is not over yet; else None."""
        return self._partitions.get_current_partition()

    def get_partition_history(self) -> list[PartitionInfo]:
        """The partitions of a day, and in any case the newest hundred; oldest first."""
        return self._partitions.get_partition_history()

    def set_partition_callbacks(
        self,
        on_detected: Callback | None = None,
        on_recovered: Callback | None = None,
        on_escalated: Callback | None = None,
    ) -> None:
        """Have these called with a partition when it is detected, is over, or lasts too long: in a thread of
        this validator, while it runs. What they raise is logged."""
        self._partitions.set_partition_callbacks(on_detected, on_recovered, on_escalated)

    def update_node_health(self, node_id: str, reachable: bool, response_time_ms: float = 0.0) -> None:
        """Report what another source knows of a member, beside its answers and its link. Raises
        ValidatorError."""
        self._member(node_id)
        self._partitions.update_node_health(node_id, reachable, response_time_ms)

    def handle_node_failure(self, node_id: str) -> None:
        """Report that a member did not answer: three times in a row make it unreachable, until it answers.
        Raises ValidatorError."""
        self.update_node_health(node_id, False)

    def resolve_partition(self, partition_id: str, operator: str) -> None:
        """End the active partition, whatever its strategy. If the members are still unreachable, another one
        is detected. Raises ValidatorError if this one is not active, or nobody is named."""
        try:
            self._partitions.resolve_partition(partition_id, operator)
        except ValueError as error:
            raise ValidatorError(str(error)) from error

    def _needed(self) -> int:
        """Reachable members without which nothing is decided: a quorum, also where all must agree, for it can
        still refuse an event."""
        return quorum.quorum(self.get_total_nodes(), self._gateway.present.mode)

    def _alone(self) -> bool:
        """Whether fewer members are reached than are needed."""
        return len(self.get_active_nodes()) < self._needed()
