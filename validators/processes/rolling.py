"""Restarts the nodes of a running cluster one after the other, each only while a quorum votes without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from django.db.models import F

from dtvn.protocol import quorum
from dtvn.watch import read_report
from validators.models import DesiredState, ManagedNode, NodePart, NodeRole, NodeStatus
from validators.services.announcing import desired_state_changed
from validators.services.cluster import START_PATIENCE, everybody, runs_as_wanted
from validators.services.mode import cluster_mode

TOLD_AFTER = 5.0
"""Seconds after which it is told why the next node waits: each start asks the others for a moment."""


class Rolling(msgspec.Struct):
    """A restart of all nodes that is under way."""

    told: Mapping[str, int]
    """Generation of each node when it was requested; a higher one: it was restarted since."""
    since: float
    """Monotonic seconds when the newest node was restarted, or the restart was requested."""


class Outcome(msgspec.Struct, frozen=True):
    """What one step found."""

    done: int
    total: int
    over: bool
    error: str = ""
    """Why it ends before all have restarted."""
    waits: str = ""
    """Why the next node does not restart yet."""


def step(rolling: Rolling, now: float) -> Outcome:
    """Restart the next node if the one before is back and a quorum votes without the next. Nodes that an
    operator stopped meanwhile are left alone. A node that does not come back ends the restart: the others
    run on."""
    rows = [row for row in everybody() if row.desired == DesiredState.RUNNING and row.node_id in rolling.told]
    coming = [row for row in rows if row.generation > rolling.told[row.node_id] and not _is_back(row)]
    left = [row for row in rows if row.generation == rolling.told[row.node_id]]
    done, late = len(rows) - len(coming) - len(left), now - rolling.since > START_PATIENCE
    error = waits = ""
    if coming:
        error = next((f"{row.node_id}: {row.error}" for row in coming if row.status == NodeStatus.ERROR), "")
        awaited = read_report(coming[0].node_id, coming[0].report).awaits
        waits = quorum.waits_sentence(coming[0].node_id, awaited) if awaited else ""
        if late and not error:
            error = waits or f"{coming[0].node_id} does not vote again"
    elif left and not (waits := _holds_up(left[0], rows)):
        changed = ManagedNode.objects.filter(
            node_id=left[0].node_id, generation=left[0].generation, desired=DesiredState.RUNNING
        ).update(generation=F("generation") + 1)
        rolling.since = now
        if changed:
            desired_state_changed()
    elif left and late:
        error = waits
    if error and left:
        error += f"; not restarted: {', '.join(row.node_id for row in left)}"
    if now - rolling.since < TOLD_AFTER:
        waits = ""
    return Outcome(done, len(rows), over=bool(error) or not (coming or left), error=error, waits=waits)


def _is_back(row: ManagedNode) -> bool:
    """Whether a node runs again, and votes if it is a member."""
    member = row.role == NodeRole.VALIDATOR and row.part == NodePart.MEMBER
    return runs_as_wanted(row) and (not member or row.report.get("voting") is True)


def _holds_up(row: ManagedNode, rows: Sequence[ManagedNode]) -> str:
    """Why a node cannot be spared, or would not vote again after its restart; "" if neither is so. Members
    that others run count as voting if each of our members that vote is connected to them."""
    if row.role != NodeRole.VALIDATOR or row.part != NodePart.MEMBER:
        return ""
    ours = [each for each in everybody() if each.role == NodeRole.VALIDATOR and each.part == NodePart.MEMBER]
    others = [each for each in ours if each.node_id != row.node_id]
    back = {each.node_id for each in rows if _is_back(each)}
    voting = [each.report for each in others if each.node_id in back]
    if not voting:
        return f"no quorum votes without {row.node_id}"
    linked = min(int(report.get("peer_count", 0)) for report in voting)
    elsewhere = max(0, linked - (len(ours) - 1))
    members = max(len(ours), *(int(report.get("members", 0)) for report in voting))
    if len(voting) + elsewhere < quorum.quorum(members, cluster_mode()):
        return f"no quorum votes without {row.node_id}"
    return ""
