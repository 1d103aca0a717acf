"""/nodes: the members, their processes, and each node's own answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from dtvn.api.answers import Answer, bare, success
from dtvn.api.bodies import Flag
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError, InvalidRequest, Unavailable, not_found
from dtvn.api.queries import read_event
from dtvn.gateway import Answered
from dtvn.machine import reasons
from dtvn.machine.bodies import Body
from dtvn.machine.fields import is_name
from validators.membership import (
    DISK_FULL,
    DISK_IS_FULL,
    MemberNode,
    add_node,
    changes,
    find_node,
    list_nodes,
)
from validators.models import ChangeState
from validators.rest.http import waits
from validators.services import node_logs, nodes
from validators.services.cluster_state import missing_now, start_waits
from validators.services.errors import ChangePending, NodeExternal, NodeRunning
from validators.services.network import gateway

ASK_WAIT = 2.0
"""Seconds for a node's own answer."""


def node_object(member: MemberNode) -> dict[str, Any]:
    """The Node object of the contract."""
    managed, report = member.managed, member.report
    node: dict[str, Any] = {
        "id": member.id,
        "port": member.port,
        "api_port": member.api_port,
        "status": str(member.status),
        "is_primary": member.view is not None and member.view.connected and member.view.primary,
        "is_bootstrap": member.index == 0,
        "started_at": utc_text(None if managed is None else managed.started_at),
        "pid": member.pid,
        "host": member.host,
        "sequence": report.sequence,
        "view": report.view,
        "external": managed is None,
    }
    if member.error:
        node["error"] = member.error
    if member.peer_id:
        node["peer_id"] = member.peer_id
    if member.joining:
        node["joining"] = member.joining
    for name in ("log_time_ahead", "log_time_behind", "own_clock_doubtful", "withheld_ahead"):
        if seconds := getattr(report, name):
            node[name] = seconds
    return node


def utc_text(moment: datetime | None) -> str | None:
    """A moment in ISO 8601, UTC."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def node_objects() -> list[dict[str, Any]]:
    """All Node objects; empty while no cluster has been created."""
    try:
        members = list_nodes()
    except Unavailable:
        return []
    return [node_object(member) for member in members]


def ask_node(member: MemberNode, what: str, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """A node's own current answer; raise 503 if it is down, or the error with its own code if it refuses."""
    if not member.up:
        raise _no_answer(member)
    answered = gateway().query(member.index, what, arguments, wait=ASK_WAIT).result(ASK_WAIT + 1)
    return read_answered(member, answered)


def read_answered(member: MemberNode, answered: Answered) -> dict[str, Any]:
    """The answer of a node; raises as ask_node does."""
    if not answered.code:
        return _read_answer(member, answered.text)
    if answered.code == reasons.TICKET_NOT_FOUND:
        raise not_found()
    if answered.code == DISK_FULL:
        raise ApiError(503, DISK_FULL, f"{member.id} cannot answer now: {DISK_IS_FULL}.")
    raise _no_answer(member)


def _no_answer(member: MemberNode) -> ApiError:
    return ApiError(503, "node_down", f"{member.id} does not answer.")


def _read_answer(member: MemberNode, text: str) -> dict[str, Any]:
    """A node may answer anything: the answer is passed on only if it can be encoded."""
    try:
        told = msgspec.json.decode(text, type=dict[str, Any])
        msgspec.json.encode(told)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise ApiError(503, "node_down", f"{member.id} gave an invalid answer.") from error
    return told


def own_sequence(told: dict[str, Any]) -> int | None:
    """The sequence at which a node answered; None if it gives none."""
    sequence = told.get("sequence")
    return sequence if isinstance(sequence, int) else None


class NodeBody(Body, frozen=True, kw_only=True):
    """Of POST /nodes. `bootstrap_addr` and `is_bootstrap` are the Go DTVN's and ignored: members learn each
    other's addresses from the cluster."""

    node_id: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=60,
            pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$",
            description="a string of 1 to 60 of A-Z a-z 0-9 _ -, with a letter or digit first",
        ),
    ]
    is_primary: Flag = False
    is_bootstrap: Flag = False
    bootstrap_addr: Annotated[
        str, msgspec.Meta(max_length=1_024, description="a string of at most 1024 characters")
    ] = ""


def list_node_objects(call: Call) -> Answer:
    """List all members by number."""
    return bare(node_objects())


def add(call: Call, body: NodeBody) -> Answer:
    """Start a member that this platform runs, the first node of a cluster, or a newcomer, which joins."""
    add_node(body.node_id, as_primary=body.is_primary, actor=call.actor)
    return bare({"status": "starting", "node_id": body.node_id})


def show(call: Call, node_id: str) -> Answer:
    """Show one node."""
    return bare(node_object(find_node(node_id)))


def show_logs(call: Call, node_id: str) -> Answer:
    """Output of a node, oldest line first; `lines`: at most this many, and never more than 1,000."""
    lines = call.query.get("lines", str(node_logs.LINES_MAX))
    if not (lines.isascii() and lines.isdigit() and len(lines) < 10 and int(lines) > 0):
        raise InvalidRequest("lines must be a number from 1 to 999999999")
    find_node(node_id)
    logs = node_logs.last_lines(node_id, min(int(lines), node_logs.LINES_MAX))
    return bare({"node_id": node_id, "logs": logs})


@waits
def show_stats(call: Call, node_id: str) -> Answer:
    """Statistics of one node; 503 if it is down."""
    stats = ask_node(find_node(node_id), "stats")
    return success(data=stats, sequence=own_sequence(stats))


@waits
def show_node_ticket(call: Call, node_id: str, ticket_id: str) -> Answer:
    """A ticket as one node knows it; 503 if the node is down, 404 if it has no such ticket."""
    event = read_event(call.query)
    member = find_node(node_id)
    if not is_name(ticket_id):
        raise not_found()
    told = ask_node(member, "ticket", (event, ticket_id))
    return success(data=told.get("ticket"), sequence=own_sequence(told))


def start(call: Call, node_id: str) -> Answer:
    """Start a node; 409 if it is running. `warning`: the members without which it does not vote."""
    member = _managed(node_id)
    if member.status in nodes.RUNNING:
        raise NodeRunning(node_id)
    nodes.start_node(node_id)
    return bare({"status": "starting", "node_id": node_id} | _warning(started=[node_id]))


def stop(call: Call, node_id: str) -> Answer:
    """Stop a node; 409 if it is stopped.

    A newcomer does not join then, and the change behind it continues.
    """
    if not (_managed(node_id).joining and changes.call_off(node_id)):
        nodes.stop_node(node_id)
    return bare({"status": "stopping", "node_id": node_id} | _warning(stopped=node_id))


def restart(call: Call, node_id: str) -> Answer:
    """Restart a node. `warning`: the members without which it does not vote again."""
    if _managed(node_id).joining == ChangeState.WAITING:
        raise ChangePending(f"{node_id} is still being created: wait until its process runs")
    nodes.restart_node(node_id)
    return bare({"status": "restarting", "node_id": node_id} | _warning(started=[node_id]))


def _warning(*, started: Sequence[str] = (), stopped: str = "") -> dict[str, str]:
    """The field that says what a start then waits for (R11); none where nothing holds it up."""
    waits = start_waits(missing_now(), started=started, stopped=stopped)
    return {"warning": f"{waits[0].upper()}{waits[1:]}."} if waits else {}


def _managed(node_id: str) -> MemberNode:
    """A member that this platform runs; others cannot be started or stopped here."""
    member = find_node(node_id)
    if member.managed is None:
        raise NodeExternal(node_id)
    return member
