"""Start, stop and restart nodes: the only writers of their desired state.

These functions write the desired state and return at once; reconcile carries it out (see
validators.processes).
"""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import F

from validators.models import DesiredState, ManagedNode, NodeRole, NodeStatus
from validators.services.announcing import desired_state_changed
from validators.services.errors import NodeNotRunning, NodeRunning, NodeUnknown

LEARNER_ID = "learner"
RUNNING = frozenset({NodeStatus.RUNNING, NodeStatus.STARTING, NodeStatus.UNRESPONSIVE})
"""Statuses of a node that need no start."""


def register_nodes(
    member_ids: Sequence[str], own: Sequence[str] | None = None, made: Sequence[str] = ()
) -> None:
    """Create a row for each founding member that this platform runs (`own`, all by default) and for the
    learner; keep existing desired states, and the rows of nodes that joined later (`made`).

    Called when the network starts, before any process runs: the rows' process data is of an earlier run and
    is cleared.
    """
    with transaction.atomic():
        managed = [member_id for member_id in member_ids if own is None or member_id in own]
        for member_id in managed:
            position = member_ids.index(member_id)
            ManagedNode.objects.update_or_create(
                node_id=member_id, defaults={"role": NodeRole.VALIDATOR, "position": position}
            )
        ManagedNode.objects.update_or_create(
            node_id=LEARNER_ID, defaults={"role": NodeRole.LEARNER, "position": len(member_ids)}
        )
        ManagedNode.objects.exclude(node_id__in=[*managed, *made, LEARNER_ID]).delete()
        ManagedNode.objects.update(
            status=NodeStatus.STOPPED,
            error="",
            start_token="",
            claimed_token="",
            running_generation=None,
            exit_reason="",
            pid=None,
            heartbeat_at=None,
            report={},
        )


def start_node(node_id: str) -> ManagedNode:
    """Set a node to run; raise NodeRunning if it already does. A failed one gets a new restart budget."""
    with transaction.atomic():
        node = _locked(node_id)
        if node.desired == DesiredState.RUNNING and node.status in RUNNING:
            raise NodeRunning(node_id)
        return _want_process(node)


def stop_node(node_id: str) -> ManagedNode:
    """Set a node to stopped; raise NodeNotRunning if it already is."""
    with transaction.atomic():
        node = _locked(node_id)
        if node.desired == DesiredState.STOPPED and node.status == NodeStatus.STOPPED:
            raise NodeNotRunning(node_id)
        return _want(node, DesiredState.STOPPED)


def restart_node(node_id: str) -> ManagedNode:
    """Request a new process for a node, whether one runs now or not; no other while one is requested."""
    with transaction.atomic():
        return _want_process(_locked(node_id))


def _locked(node_id: str) -> ManagedNode:
    try:
        return ManagedNode.objects.select_for_update().get(node_id=node_id)
    except ManagedNode.DoesNotExist as error:
        raise NodeUnknown(node_id) from error


def _want_process(node: ManagedNode) -> ManagedNode:
    requested = node.desired == DesiredState.RUNNING and node.running_generation != node.generation
    # Another generation would end the process that is about to start; a failed node has none.
    return node if requested and node.status != NodeStatus.ERROR else _want(node, DesiredState.RUNNING)


def _want(node: ManagedNode, desired: DesiredState) -> ManagedNode:
    ManagedNode.objects.filter(node_id=node.node_id).update(desired=desired, generation=F("generation") + 1)
    desired_state_changed()
    node.refresh_from_db()
    return node
