"""Data for the pages that the API does not have (spec 9.4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from dtvn.api.errors import ApiError, Unavailable
from validators.dashboard.views import for_pages
from validators.membership.node_list import find_node
from validators.membership.own_api import ask_api, read_figures
from validators.membership.roster import MemberNode, list_members
from validators.rest.nodes import ask_node
from validators.services.errors import NodeUnknown

ASK_AT_ONCE = 8
RECENT_SEQUENCES = 60
"""Sequences of the log that the page of one node shows."""
RECENT_RECORDS = 500
CHARTS = (
    ("throughput", "Throughput", "operations decided per second"),
    ("latency", "Consensus latency", "proposal to execution"),
    ("gossip", "Gossip", "messages that keep members in sync"),
    ("traffic", "Traffic", "bytes sent over all links"),
    ("sequence", "Sequence", "batches decided"),
    ("peers", "Peers", "of the best connected node"),
)
FIGURES = {
    "consensus_rounds_total": "decided",
    "consensus_latency_seconds_sum": "latency_sum",
    "consensus_latency_seconds_count": "latency_count",
    "gossip_messages_sent_total": "gossip",
    "network_bytes_transmitted_total": "bytes",
    "peer_count": "peers",
    "dtvn_sequence": "sequence",
}
"""Sample of a node's metrics to the name that the page uses for it."""

Found = TypeVar("Found")


@require_GET
@for_pages
def links(request: HttpRequest) -> HttpResponse:
    """Each member's peers as it reports them: {id: [ids]}, null for a member that does not answer."""
    return JsonResponse({"peers": dict(_of_each(_peers))})


@require_GET
@for_pages
def figures(request: HttpRequest) -> HttpResponse:
    """Metrics of each node of ours that answers on its metrics port, and when they were taken."""
    told = _of_each(lambda member: read_figures(member, FIGURES))
    answered = {node_id: found for node_id, found in told if found is not None}
    return JsonResponse({"at": time.time(), "asked": len(told), "nodes": answered})


@require_GET
@for_pages
def node_part(request: HttpRequest, node_id: str, part: str) -> HttpResponse:
    """One node's own answer: its identity, its stored data, or its newest log entries."""
    try:
        member = find_node(node_id)
        path = {
            "crypto": "/api/v1/node/crypto",
            "storage": "/api/v1/storage/entries",
            "consensus": f"/api/v1/consensus/logs?kind=all&outcome=all&limit={RECENT_RECORDS}"
            f"&after={max(0, member.sequence - RECENT_SEQUENCES)}",
        }[part]
        return JsonResponse(ask_api(member, path), safe=False)
    except NodeUnknown as error:
        return JsonResponse({"error": str(error)}, status=404)
    except Unavailable as error:
        return JsonResponse({"error": str(error)}, status=503)


def _of_each(ask: Callable[[MemberNode], Found]) -> list[tuple[str, Found]]:
    """Every member's id and the result of `ask` for it, in parallel: a member that hangs delays no other."""
    try:
        members: Sequence[MemberNode] = list_members()
    except Unavailable:
        return []
    with ThreadPoolExecutor(ASK_AT_ONCE, "asking") as pool:
        return list(zip([member.id for member in members], pool.map(ask, members), strict=True))


def _peers(member: MemberNode) -> list[str] | None:
    try:
        told = ask_node(member, "peers").get("peers")
    except (ApiError, TimeoutError):
        return None
    listed = told if isinstance(told, list) else []
    return [
        str(peer.get("node_id", "")) for peer in listed if isinstance(peer, dict) and peer.get("connected")
    ]
