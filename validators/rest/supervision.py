"""The cluster as a whole: start, stop, and validation through a named node."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from dtvn.api.answers import Answer, bare, failure, success
from dtvn.api.bodies import Flag, request_of
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError, TicketError
from dtvn.api.writes import answer_operation
from dtvn.machine import ValidateBody
from dtvn.machine.bodies import Body
from dtvn.waiting import look_until
from validators.membership import MemberNode, find_node
from validators.models import NodeStatus
from validators.own_api import ask_any_api
from validators.rest.http import waits
from validators.services import cluster, following
from validators.services.cluster_state import cluster_state, describe_progress, describe_state
from validators.services.decide import decide_one

LINK_WAIT = 2.0
"""Seconds to wait for our link to a running node: links are cut when an epoch begins, and re-established at
once."""
LOOK_INTERVAL = 0.05


class ClusterBody(Body, frozen=True, kw_only=True):
    """Of POST /cluster/start."""

    node_count: Annotated[
        int,
        msgspec.Meta(
            le=cluster.CLUSTER_NODES_MAX,
            description=f"a number of at most {cluster.CLUSTER_NODES_MAX}; below 1 counts as absent",
        ),
    ] = 0
    only_stopped: Flag = False
    one_by_one: Flag = False

    @property
    def recorded(self) -> str:
        """Whether running nodes restart."""
        if self.only_stopped:
            return "stopped nodes"
        return "all nodes, one by one" if self.one_by_one else "all nodes"


class EntryBody(ValidateBody, frozen=True, kw_only=True):
    """Of POST /tickets/validate-via-node."""

    node_id: Annotated[
        str, msgspec.Meta(min_length=1, max_length=64, description="a string of 1 to 64 characters")
    ]

    def fields(self) -> dict[str, Any]:
        """Those of /tickets/validate."""
        return {"data": self.data}


def start_cluster(call: Call, body: ClusterBody) -> Answer:
    """Start the cluster; nodes that run are stopped first. `node_count`: its members; below 1 or absent: the
    existing cluster, else 4. `only_stopped`: leave running nodes alone. `one_by_one`: restart running nodes
    one after the other, so that decisions go on. Events report the progress.

    With `only_stopped` a start that is under way is no error: its progress is answered.
    """
    if body.only_stopped and cluster.own_validators().exists():
        return _start_stopped()
    if body.one_by_one and cluster.own_validators().exists():
        return _restart_one_by_one()
    count = body.node_count
    started = cluster.start_cluster(count if count >= 1 else None)
    return bare({"status": "starting", "node_count": started})


def _start_stopped() -> Answer:
    begun = cluster.start_stopped()
    return bare(
        {
            "status": "running" if begun.progress is None else begun.progress.verb,
            "node_count": cluster.own_validators().count(),
            "started": begun.nodes,
            "progress": describe_progress(begun.progress),
        }
    )


def _restart_one_by_one() -> Answer:
    progress = cluster.restart_one_by_one()
    return bare(
        {
            "status": "restarting" if progress is None else progress.verb,
            "node_count": cluster.own_validators().count(),
            "progress": describe_progress(progress),
        }
    )


def show_cluster(call: Call) -> Answer:
    """State of the cluster: the sentence and its counts, the nodes that are stopped, and the start or stop
    that is under way."""
    return success(data=describe_state(cluster_state()) | following.told())


def stop_cluster(call: Call) -> Answer:
    """Stop every node of this platform; no effect if all are stopped."""
    cluster.stop_cluster()
    return bare({"status": "stopping"})


@waits
def show_crypto(call: Call) -> Answer:
    """Identity of the primary, or of any node."""
    return success(data=ask_any_api("/api/v1/node/crypto"))


@waits
def show_storage(call: Call) -> Answer:
    """Storage of the primary, or of any node."""
    return success(data=ask_any_api("/api/v1/storage/entries"))


def validate_via_node(call: Call, body: EntryBody) -> Answer:
    """Validate via one node; 404 for an unknown node, 503 for one that is down.

    The caller names the entry node. A refusal by the platform has the platform's own form, a decision has the
    node's.
    """
    request, node_id = request_of("validate", body, call.idempotency_key), body.node_id
    member = _linked(node_id)
    if not member.up:
        down = "does not answer" if member.status == "running" else "is not running"
        raise ApiError(503, "node_down", f"{node_id} {down}.")
    try:
        decision = decide_one(request, actor=call.actor, entry=node_id)
    except TicketError as error:
        return failure(error)
    return answer_operation("validate", decision)


def _linked(node_id: str) -> MemberNode:
    """The node; if its process runs, waits briefly for the link. Raises NodeUnknown."""
    member = find_node(node_id)
    if not member.up and member.managed is not None and member.managed.status == NodeStatus.RUNNING:
        look_until(lambda: find_node(node_id).up, LINK_WAIT, pause=LOOK_INTERVAL)
        member = find_node(node_id)
    return member
