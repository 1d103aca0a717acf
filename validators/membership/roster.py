"""The members of the cluster as this platform sees them: desired state, process, link and the member's own
report."""

from __future__ import annotations

import socket

import msgspec
from django.conf import settings

from dtvn.api.errors import Unavailable
from dtvn.node.kept_ports import kept_port
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError
from dtvn.node.process import CONTRADICTION, DISK_FULL, WAITING
from dtvn.protocol.log_time import withheld_sentence
from dtvn.watch import MemberReport, read_report
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import lock_holder
from validators.models import ManagedNode, NodeRole, NodeStatus
from validators.services.network import gateway

ALIVE = frozenset({NodeStatus.RUNNING, NodeStatus.UNRESPONSIVE})
DISK_IS_FULL = "its disk is full; it resumes automatically when there is space"
ERRORS = {
    DISK_FULL: DISK_IS_FULL,
    CONTRADICTION: "it has stopped permanently: certificates contradict each other, or its own state",
    WAITING: "it will vote once the other members have reported which of its votes they hold",
}
"""Messages for the states in which a process runs but decides nothing."""
ON_A_WORD = "it votes with -others-are-gone, until the next stable checkpoint"


class MemberNode(msgspec.Struct, frozen=True):
    """One member of the genesis, run by this platform or by another party."""

    id: str
    index: int
    host: str
    port: int
    api_port: int
    """Port of its own API; 0 if this platform knows of none."""
    peer_id: str
    managed: ManagedNode | None
    view: MemberReport | None
    """The member as the gateway sees it; None while there is no gateway."""
    pid: int | None
    """The process that runs its main loop on this host now."""
    joining: str = ""
    """Progress of a newcomer that is not a member yet (see membership.joining); "" for members."""

    @property
    def status(self) -> str:
        """One of validators.models.NodeStatus."""
        if self.managed is not None:
            runs = self.managed.status == NodeStatus.RUNNING
            # Its epoch has begun, but this process does not know that epoch yet and cannot query the node.
            return NodeStatus.STARTING if runs and self.joining else self.managed.status
        connected = self.view is not None and self.view.connected
        return NodeStatus.RUNNING if connected else NodeStatus.UNRESPONSIVE

    @property
    def error(self) -> str:
        """See error_of."""
        return error_of(self.managed, self.view)

    @property
    def up(self) -> bool:
        """Whether it can be queried now."""
        return self.view is not None and self.view.connected

    @property
    def report(self) -> MemberReport:
        """What it says of itself: see newest_report."""
        return newest_report(self.managed, self.view)


def error_of(row: ManagedNode | None, view: MemberReport | None) -> str:
    """Why a process does not run, or runs without deciding, withholds its vote from proposals, or on whose
    statement its votes rest; "" if none of these applies or is known.

    A full disk is reported over the link, which needs no disk, and in the row, if the platform's own database
    can still be written.
    """
    if row is not None and (row.error or row.status not in ALIVE):
        return row.error
    report = newest_report(row, view if view is not None and view.connected else None)
    if report.state == WAITING and report.awaits:
        names = ", ".join(report.awaits)
        return f"it will vote once {names} has reported which of its votes it holds, or with -others-are-gone"
    if report.state in ERRORS:
        return ERRORS[report.state]
    return withheld_sentence(report.withheld_ahead, "it") or (ON_A_WORD if report.others_are_gone else "")


def newest_report(row: ManagedNode | None, view: MemberReport | None) -> MemberReport:
    """What a node says of itself: over the link, else in its process's row."""
    if view is not None and view.heard is not None and (view.connected or row is None or not row.report):
        return view
    return read_report("", {} if row is None else row.report)


def view_of(node_id: str) -> MemberReport | None:
    """The member of this name as the gateway sees it; None if it is not a member, or there is no gateway."""
    try:
        views = gateway().members()
    except Unavailable:
        return None
    return next((view for view in views if view.id == node_id), None)


def list_members() -> list[MemberNode]:
    """All members in genesis order; fast even when nodes hang, because no node is queried.

    Raises Unavailable while no cluster has been created.
    """
    network = gateway()
    views = network.members()
    managed = {node.node_id: node for node in ManagedNode.objects.filter(role=NodeRole.VALIDATOR)}
    folder = DataFolder(settings.DATA)
    return [
        MemberNode(
            id=member.id,
            index=index,
            host=member.host,
            port=member.port,
            api_port=api_port_of(folder, managed.get(member.id)),
            peer_id=peer_id(member.public_key),
            managed=managed.get(member.id),
            view=view,
            pid=process_of(folder, managed.get(member.id)),
        )
        for index, (member, view) in enumerate(zip(network.present.members, views, strict=False))
    ]


def api_port_of(folder: DataFolder, node: ManagedNode | None) -> int:
    """Port of the own API of a node of ours; 0 if unknown."""
    if node is None:
        return 0
    try:
        return kept_port(ClusterFolder(folder.root).node(node.node_id), "api") or 0
    except StartError:
        return 0


def process_of(folder: DataFolder, node: ManagedNode | None) -> int | None:
    """The holder of the node's slot lock: the kernel releases it at once when a process dies."""
    if node is None or (node.host and node.host != socket.gethostname()):
        return None
    try:
        return lock_holder(folder.node_lock(node.node_id))
    except OSError:
        return None
