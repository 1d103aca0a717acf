"""Start a node by its name: an existing member, the first node of a cluster, or a newcomer that joins."""

from __future__ import annotations

from django.conf import settings

from dtvn.waiting import look_until
from validators.membership import changes
from validators.membership.change_request import ChangeRequest, check_new_name
from validators.membership.roster import list_members
from validators.models import ClusterRequest, DesiredState, ManagedNode, NodeRole, NodeStatus
from validators.services import nodes
from validators.services.cluster import cluster_now, found_with, member_names, own_members
from validators.services.errors import ClusterStopped, NodeExternal, NodeRunning, PrimaryExists
from validators.services.network import gateway

LISTED_WAIT = 5.0
"""Seconds until a cluster of one node, founded by another process, is listed."""
LOOK_INTERVAL = 0.05


def add_node(node_id: str, *, as_primary: bool, actor: str) -> None:
    """Sets a node's desired state to running. Returns at once; a newcomer follows the log first and then
    becomes a member (R36).

    `as_primary`: refused if another node is primary, since the view decides that. Raises ServiceError, and
    InvalidRequest for a name that no new node can have.
    """
    known = member_names()
    if not known and settings.SUPERVISOR:
        check_new_name(node_id)
        found_with(node_id)
        _wait_until_listed(node_id)
        return
    if as_primary and _has_other_primary(node_id):
        raise PrimaryExists
    if node_id in known:
        if ManagedNode.objects.get(node_id=node_id).status in nodes.RUNNING:
            raise NodeRunning(node_id)
        nodes.start_node(node_id)
        return
    if any(member.id == node_id for member in list_members()):
        raise NodeExternal(node_id)
    check_new_name(node_id)
    if not _is_to_run():
        raise ClusterStopped(node_id)
    # Even below four members: a cluster that grows node by node starts there.
    changes.ask(ChangeRequest(change="add", node_id=node_id, allow_small=True), actor=actor)


def _has_other_primary(node_id: str) -> bool:
    """Whether another running node is primary; in a stopped cluster, whether another is its first member."""
    members = list_members()
    leading = [
        member.id for member in members if member.view is not None and member.view.primary and member.up
    ]
    first = [member.id for member in members[:1]]
    return (leading or first) != [node_id]


def _is_to_run() -> bool:
    """Whether the cluster is running or starting. For our own members the desired state decides, not the
    link: all links are cut when an epoch begins, and no link exists while the first node starts. For members
    run by others, the link decides."""
    own = {row.node_id: row for row in own_members()}
    asked = cluster_now()
    if asked.requested == ClusterRequest.START and asked.members in ([], list(own)):
        return True
    if any(row.desired == DesiredState.RUNNING and row.status != NodeStatus.ERROR for row in own.values()):
        return True
    return any(member.connected for member in gateway().members() if member.id not in own)


def _wait_until_listed(node_id: str) -> None:
    rows = ManagedNode.objects.filter(node_id=node_id, role=NodeRole.VALIDATOR)
    look_until(rows.exists, LISTED_WAIT, pause=LOOK_INTERVAL)
