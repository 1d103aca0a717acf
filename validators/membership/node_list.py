"""The nodes as listed to users: the members, and newcomers that this platform makes.

A newcomer is listed as starting from the moment it was requested: while it is created, while it follows the
log, while its change is ordered, and until this process knows the epoch in which it is a member (R36).
"""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.db.models import Q

from dtvn.api.errors import Unavailable
from validators.data_folder.folder import DataFolder
from validators.membership.roster import MemberNode, api_port_of, list_members, process_of
from validators.models import FINISHED, ChangeState, ManagedNode, MembershipChange, NodePart, NodeStatus
from validators.services.announcing import announce
from validators.services.errors import NodeUnknown
from validators.services.network import gateway
from validators.services.principals import find_principal

AT_WORK = (ChangeState.WAITING, ChangeState.FOLLOWING, ChangeState.ORDERING)


def list_nodes() -> list[MemberNode]:
    """The members in genesis order, then newcomers; raise Unavailable while there is no cluster."""
    members = list_members()
    known = {member.id for member in members}
    coming = (change for change in _changes() if change.newcomer not in known)
    found = (_newcomer(change, place) for place, change in enumerate(coming, len(members)))
    return [*members, *(node for node in found if node is not None)]


def find_node(node_id: str) -> MemberNode:
    """The listed node of this name; raise NodeUnknown."""
    try:
        nodes = list_nodes()
    except Unavailable:
        raise NodeUnknown(node_id) from None
    for node in nodes:
        if node.id == node_id:
            return node
    raise NodeUnknown(node_id)


def tell(change: MembershipChange) -> None:
    """Announces the progress of a newcomer of ours to browsers when its change has a new state."""
    node_id = change.newcomer
    if not node_id:
        return
    if change.state in AT_WORK:
        announce(node_id=node_id, status=NodeStatus.STARTING)
    elif change.state == ChangeState.REFUSED:
        announce(node_id=node_id, status=NodeStatus.ERROR, error=change.sentence)
    elif change.state == ChangeState.CANCELLED and not _process_ends(node_id):
        announce(node_id=node_id, status=NodeStatus.STOPPED)


def _process_ends(node_id: str) -> bool:
    """Whether reconcile will announce its end."""
    return ManagedNode.objects.filter(node_id=node_id).exclude(status=NodeStatus.STOPPED).exists()


def _changes() -> Iterator[MembershipChange]:
    """Changes that are unfinished, or done in an epoch that this process does not know yet; each newcomer
    once."""
    unmet = Q(state=ChangeState.DONE, epoch__gt=gateway().present.epoch)
    seen = {""}
    for change in MembershipChange.objects.filter(~Q(state__in=FINISHED) | unmet).order_by("id"):
        if change.newcomer not in seen:
            seen.add(change.newcomer)
            yield change


def _newcomer(change: MembershipChange, place: int) -> MemberNode | None:
    """A newcomer as a node; None if a change of an earlier cluster left no row behind."""
    node_id = change.newcomer
    row = ManagedNode.objects.filter(node_id=node_id).exclude(part=NodePart.LEFT).first()
    if row is None:
        if change.state == ChangeState.DONE:
            return None
        status = NodeStatus.STOPPED if change.cancelled else NodeStatus.STARTING
        row = ManagedNode(node_id=node_id, part=NodePart.JOINING, status=status)
    folder = DataFolder(settings.DATA)
    return MemberNode(
        id=node_id,
        index=place,
        host=change.host,
        port=change.port,
        api_port=api_port_of(folder, row),
        peer_id=_peer_id(node_id),
        managed=row,
        view=None,
        pid=process_of(folder, row),
        joining=ChangeState(change.state if change.state in AT_WORK else ChangeState.ORDERING).value,
    )


def _peer_id(node_id: str) -> str:
    """The peer id under which the cluster lists it; "" before it does."""
    try:
        listed = find_principal(node_id)
    except Unavailable:
        return ""
    return "" if listed is None else listed.peer_id
