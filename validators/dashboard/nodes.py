"""The nodes as pages and the feed show them: processes, links, and each node's own report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dtvn.api.errors import Unavailable
from validators.dashboard.formatting import node_tone
from validators.feed.rows import read_applied
from validators.membership import MemberNode, error_of, list_nodes
from validators.models import Announcement, DesiredState, ManagedNode, NodeRole, NodeStatus
from validators.rest.nodes import node_object
from validators.services.cluster import cluster_now
from validators.services.cluster_state import cluster_state, consequences, describe_state


def describe_nodes() -> list[dict[str, Any]]:
    """The contract's Node objects with the additional fields of the page, members first, then the
    learner. Empty while no cluster has been created."""
    nodes = []
    try:
        members = list_nodes()
    except Unavailable:
        members = []
    for member in members:
        nodes.append({**node_object(member), **_desired(member.managed), "voting": _voting(member)})
    for row in ManagedNode.objects.filter(role=NodeRole.LEARNER):
        report = row.report if isinstance(row.report, dict) else {}
        nodes.append(
            {
                "id": row.node_id,
                "status": row.status,
                "error": error_of(row, None),
                "pid": row.pid,
                "host": row.host,
                "sequence": report.get("sequence", 0) if row.status == NodeStatus.RUNNING else read_applied(),
                "view": report.get("view", 0),
                "is_primary": False,
                "voting": False,
                "heard_at": _heard_at(row),
                **_desired(row),
            }
        )
    return nodes


def members_of(nodes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """All nodes except the learner, which the contract does not know."""
    return [node for node in nodes if node["role"] == NodeRole.VALIDATOR]


def describe_cluster() -> dict[str, Any]:
    """The current `cluster_status` frame."""
    row = cluster_now()
    return _cluster_frame(row.status, row.started, row.total, row.error)


def describe_state_of_page(nodes: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The state of the cluster for pages: `describe_state`, what would follow if nodes stopped, and the
    `node_tone` of each of `nodes`, by its id."""
    state = cluster_state()
    tones = {
        node["id"]: node_tone(
            node["id"],
            node["status"],
            node.get("error", ""),
            None if node["role"] == NodeRole.LEARNER else state,
        )
        for node in nodes
    }
    return describe_state(state) | consequences() | {"tones": tones}


def read_announcements(after: int) -> list[Announcement]:
    """Announcements after the one with this number, in order."""
    return list(Announcement.objects.filter(pk__gt=after))


def newest_announcement() -> int:
    """Number of the newest announcement; 0 before the first."""
    return Announcement.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def node_changes(
    before: list[dict[str, Any]], after: list[dict[str, Any]], announced: Iterable[Announcement]
) -> list[dict[str, Any]]:
    """Frames for the changes between two polls: each transition of a node and of the cluster that was
    announced in between, in order; then members that became or ceased to be primary, and the state of nodes
    run by others as seen from here."""
    old, new = ({node["id"]: node for node in members_of(nodes)} for nodes in (before, after))
    frames, told = [], set()
    for each in announced:
        if not each.node_id:
            frames.append(_cluster_frame(each.status, each.started, each.total, each.error))
            continue
        told.add(each.node_id)
        node = new.get(each.node_id) or old.get(each.node_id) or {"id": each.node_id}
        gone = {"error", "joining"} if each.status == NodeStatus.RUNNING else {"error"}
        node = {name: value for name, value in node.items() if name not in gone} | {"status": each.status}
        frames.append(_node_frame(node | {"error": each.error} if each.error else node))
    for node_id, node in new.items():
        known = old.get(node_id)
        if known is None or node_id in told:
            continue
        external = node["external"] and known["status"] != node["status"]
        if external or known["is_primary"] != node["is_primary"]:
            frames.append(_node_frame(node))
    return frames


def _node_frame(node: dict[str, Any]) -> dict[str, Any]:
    return {"type": "node_status", "node_id": node["id"], "status": node["status"], "node": node}


def _cluster_frame(status: str, started: int, total: int, error: str) -> dict[str, Any]:
    frame = {"type": "cluster_status", "status": status, "nodes_started": started, "nodes_total": total}
    return {**frame, "error": error} if error else frame


def _voting(member: MemberNode) -> bool | None:
    """Whether the member reports that it votes; None if it has sent no report."""
    return member.report.voting if member.report.state else None


def _heard_at(row: ManagedNode) -> float | None:
    """Unix seconds of the last heartbeat of a stopped process; None while it runs, or if unknown."""
    if row.status == NodeStatus.RUNNING or row.heartbeat_at is None:
        return None
    return row.heartbeat_at.timestamp()


def _desired(row: ManagedNode | None) -> dict[str, Any]:
    """The desired state of the process, and how often the platform had to restart it."""
    if row is None:
        return {"role": NodeRole.VALIDATOR, "desired": DesiredState.RUNNING, "restarts": 0}
    return {"role": row.role, "desired": row.desired, "restarts": row.restarts}
