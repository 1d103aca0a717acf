"""The nodes as pages and the feed show them: processes, links, and each node's own word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tickets.services import Unavailable
from validators.api.nodes import node_object
from validators.feed.rows import read_applied
from validators.models import DesiredState, ManagedNode, NodeRole, NodeStatus
from validators.services.roster import MemberNode, list_members

__all__ = ["cluster_status", "describe_nodes", "node_changes"]


def describe_nodes() -> list[dict[str, Any]]:
    """The contract's Node objects (spec 3.1) with what the page shows besides, members first, then the
    learner. Empty while no cluster has been made."""
    nodes = []
    try:
        members = list_members()
    except Unavailable:
        members = []
    for member in members:
        nodes.append({**node_object(member), **_wish(member.managed), "voting": _voting(member)})
    for row in ManagedNode.objects.filter(role=NodeRole.LEARNER):
        report = row.report if isinstance(row.report, dict) else {}
        nodes.append(
            {
                "id": row.node_id,
                "status": row.status,
                "error": row.error,
                "pid": row.pid,
                "host": row.host,
                "sequence": report.get("sequence", 0) if row.status == NodeStatus.RUNNING else read_applied(),
                "view": report.get("view", 0),
                "is_primary": False,
                "voting": False,
                "heard_at": _heard_at(row),
                **_wish(row),
            }
        )
    return nodes


def cluster_status(nodes: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The frame `cluster_status` (spec 3.4) for these nodes."""
    members = [node for node in nodes if node["role"] == NodeRole.VALIDATOR]
    wanted = [node for node in members if node["desired"] == DesiredState.RUNNING]
    running = sum(node["status"] == NodeStatus.RUNNING for node in members)
    if wanted and running >= len(wanted):
        status = "running"
    elif wanted:
        status = "starting"
    else:
        status = "stopping" if any(node["pid"] for node in members) else "idle"
    return {"type": "cluster_status", "status": status, "nodes_started": running, "nodes_total": len(members)}


def node_changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Frames for what changed between two looks: each transition of a node, then the cluster's."""
    old = {node["id"]: node for node in before}
    frames = [
        {"type": "node_status", "node_id": node["id"], "status": node["status"], "node": node}
        for node in after
        if node["id"] not in old or old[node["id"]]["status"] != node["status"]
    ]
    cluster = cluster_status(after)
    if before and cluster != cluster_status(before):
        frames.append(cluster)
    return frames


def _voting(member: MemberNode) -> bool | None:
    """Whether it says that it votes; None while it has said nothing."""
    told = member.view.status if member.view is not None and member.view.status else {}
    report = member.managed.report if member.managed is not None else {}
    voting = told.get("voting", report.get("voting"))
    return voting if isinstance(voting, bool) else None


def _heard_at(row: ManagedNode) -> float | None:
    """Unix seconds at which a process that does not run was last heard of; None while it runs, or
    where nobody knows."""
    if row.status == NodeStatus.RUNNING or row.heartbeat_at is None:
        return None
    return row.heartbeat_at.timestamp()


def _wish(row: ManagedNode | None) -> dict[str, Any]:
    """What this platform wants of the process, and how often it had to start it again."""
    if row is None:
        return {"role": NodeRole.VALIDATOR, "desired": DesiredState.RUNNING, "restarts": 0}
    return {"role": row.role, "desired": row.desired, "restarts": row.restarts}
