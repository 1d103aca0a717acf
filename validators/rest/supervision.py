"""The cluster as a whole: start, stop, and validation through a named node (spec 3.2, 3.3)."""

from __future__ import annotations

from typing import ClassVar

from django.http import HttpResponse
from rest_framework.request import Request

from dtvn.machine import CAPABILITY
from dtvn.waiting import look_until
from tickets.rest.bodies import MESSAGES, nonce_of, read_fields, request_of
from tickets.services import InvalidRequest, TicketError, decide_one
from validators.membership.joining import find_node
from validators.membership.own_api import ask_any_api
from validators.membership.roster import MemberNode
from validators.models import NodeStatus
from validators.rest.errors import ApiError, describe
from validators.rest.http import ApiView, error_response, json_response, read_body, success
from validators.rest.nodes import OwnView
from validators.services import cluster

__all__ = [
    "ClusterStartView",
    "ClusterStopView",
    "CryptoView",
    "StorageEntriesView",
    "ValidateViaNodeView",
]


LINK_WAIT = 2.0
"""Seconds to wait for our link to a running node: links are cut when an epoch begins, and re-established at
once."""
LOOK_INTERVAL = 0.05


class ClusterStartView(OwnView):
    """POST /cluster/start."""

    scopes: ClassVar = {"POST": "admin"}

    def post(self, http: Request) -> HttpResponse:
        """`node_count`: below 1 or absent is the cluster that is here, else one of 4. Events tell how far it
        is."""
        count = read_fields(read_body(http)).number("node_count")
        if count > cluster.CLUSTER_NODES_MAX:
            raise InvalidRequest(f"node_count must be at most {cluster.CLUSTER_NODES_MAX}")
        started = cluster.start_cluster(count if count >= 1 else None)
        return json_response({"status": "starting", "node_count": started})


class ClusterStopView(OwnView):
    """POST /cluster/stop."""

    scopes: ClassVar = {"POST": "admin"}

    def post(self, http: Request) -> HttpResponse:
        """Every node of this platform is to stop; nothing to do when all are."""
        cluster.stop_cluster()
        return json_response({"status": "stopping"})


class CryptoView(ApiView):
    """GET /node/crypto."""

    needs_nodes = True

    def get(self, http: Request) -> HttpResponse:
        """A node's identity: the primary's, else any one's."""
        return success(data=ask_any_api("/api/v1/node/crypto"))


class StorageEntriesView(ApiView):
    """GET /storage/entries."""

    needs_nodes = True

    def get(self, http: Request) -> HttpResponse:
        """What a node has stored: the primary, else any one."""
        return success(data=ask_any_api("/api/v1/storage/entries"))


class ValidateViaNodeView(OwnView):
    """POST /tickets/validate-via-node: the caller names the entry node. A refusal by the platform has the
    platform's own form, a decision has the node's (spec 3.3)."""

    needs_nodes = True
    scopes: ClassVar = {"POST": CAPABILITY["validate"]}

    def post(self, http: Request) -> HttpResponse:
        """As /tickets/validate; 404 for a node that nobody knows, 503 for one that is down."""
        fields = read_fields(read_body(http))
        nonce = nonce_of(http._request.META.get("HTTP_IDEMPOTENCY_KEY"), fields)
        request = request_of("validate", fields, nonce)
        node_id = fields.text("node_id")
        if not node_id:
            raise InvalidRequest("node_id is required")
        member = _linked(node_id)
        if not member.up:
            down = "does not answer" if member.status == "running" else "is not running"
            raise ApiError(503, "node_down", f"{node_id} {down}.")
        try:
            decision = decide_one(request, actor=self.caller().actor, entry=node_id)
        except TicketError as error:
            return error_response(describe(error), enveloped=True)
        return success(MESSAGES["validate"], sequence=decision.result.sequence)


def _linked(node_id: str) -> MemberNode:
    """The node; if its process runs, waits briefly for the link. Raises NodeUnknown."""
    member = find_node(node_id)
    if not member.up and member.managed is not None and member.managed.status == NodeStatus.RUNNING:
        look_until(lambda: find_node(node_id).up, LINK_WAIT, pause=LOOK_INTERVAL)
        member = find_node(node_id)
    return member
