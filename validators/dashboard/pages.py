"""Data for the pages that the API does not have."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Any, TypeVar

import msgspec
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from dtvn.api.errors import ApiError, Unavailable
from dtvn.api.rights import READ
from dtvn.machine.reasons import ABOUT_DISPUTES
from validators.dashboard.context import callers
from validators.dashboard.views import for_pages
from validators.feed.gates import count, of_events
from validators.figures_window import INTERVAL_UNSEEN, SPAN, sampler
from validators.ledger.models import OperationRecord
from validators.ledger.outcomes import ORDERED_OPERATION_SLOTS
from validators.membership import MemberNode, find_node, list_members
from validators.own_api import ask_api
from validators.rest.keys import Caller
from validators.rest.nodes import ask_node
from validators.services.errors import NodeUnknown
from validators.services.wrong_codes import wrong_codes

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

Found = TypeVar("Found")
Measured = Annotated[float, msgspec.Meta(ge=0)]


class _Counters(msgspec.Struct, frozen=True):
    bytes_sent: Measured = 0
    bytes_received: Measured = 0


class _Peer(msgspec.Struct, frozen=True):
    """A link in a node's answer, which may come from another party's node, or from an older one."""

    node_id: str
    connected: bool = False
    round_trip_ms: Measured = 0
    counters: _Counters = _Counters()


class _Peers(msgspec.Struct, frozen=True):
    peers: list[_Peer]


@require_GET
@for_pages
def links(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The links of each member to its peers as it reports them, and when: {id: {peer: {"round_trip_ms":
    median, null before the first measurement, "bytes": sent and received since it started}}}; null for a
    member that does not answer."""
    return JsonResponse({"at": time.time(), "peers": dict(_of_each(_links))})


@require_GET
@for_pages(by_event=True)
def figures(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The window of the nodes' metrics, or its points later than `after`, Unix seconds, which count what is
    of all events; and the latency of the last minute. `elsewhere`: only another web process can read them."""
    try:
        after = float(request.GET.get("after", "0"))
    except ValueError:
        return JsonResponse({"error": "after is not a number of seconds"}, status=400)
    sampler.refresh()
    now = time.time()
    told = {
        "now": now,
        "span": SPAN,
        "interval": INTERVAL_UNSEEN,
        "asked": sampler.asked,
        "answering": sampler.answering,
        "elsewhere": sampler.elsewhere,
        "points": sampler.window.points(now, after) if caller.rights.may(READ, None) else [],
        "latency": sampler.window.latency(now),
    }
    return JsonResponse(msgspec.to_builtins(told))


@require_GET
@for_pages(by_event=True)
def gates(request: HttpRequest, caller: Caller) -> HttpResponse:
    """What each gate did today, of the events that the caller may read (GateCount.look); and of callers
    whom it knows `wrong_codes`, see WrongCodes.told."""
    events = caller.rights.events()
    known = {caller.actor, *callers(events)}
    wrong = [one for one in wrong_codes.told() if events is None or one["caller"] in known]
    return JsonResponse(of_events(count.look(), events) | {"wrong_codes": wrong})


@require_GET
@for_pages
def node_part(request: HttpRequest, caller: Caller, node_id: str, part: str) -> HttpResponse:
    """One node's own answer: its identity, its stored data, or its newest log entries, with codes as people
    read them."""
    try:
        member = find_node(node_id)
        path = {
            "crypto": "/api/v1/node/crypto",
            "storage": "/api/v1/storage/entries",
            "consensus": f"/api/v1/consensus/logs?kind=all&outcome=all&limit={RECENT_RECORDS}"
            f"&after={max(0, member.report.sequence - RECENT_SEQUENCES)}",
        }[part]
        told = ask_api(member, path)
        return JsonResponse(_with_shown_codes(told) if part == "consensus" else told, safe=False)
    except NodeUnknown as error:
        return JsonResponse({"error": str(error)}, status=404)
    except Unavailable as error:
        return JsonResponse({"error": str(error)}, status=503)


def _with_shown_codes(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A node's ConsensusRecords, each refusal about a dispute with `OperationRecord.shown_code` in place of
    its code, provided that the platform's copy can be read and has the same operation there."""

    def number(record: dict[str, Any]) -> int:
        return int(record["sequence"] * ORDERED_OPERATION_SLOTS + record["index"])

    refusals = [record for record in records if record["code"] in ABOUT_DISPUTES]
    with suppress(DatabaseError):
        copied = OperationRecord.objects.in_bulk(map(number, refusals))
        for record in refusals:
            row = copied.get(number(record))
            if row is not None and (bytes(row.digest).hex(), row.code) == (record["digest"], record["code"]):
                record["code"] = row.shown_code
    return records


def _of_each(ask: Callable[[MemberNode], Found]) -> list[tuple[str, Found]]:
    """Every member's id and the result of `ask` for it, in parallel: a member that hangs delays no other."""
    try:
        members: Sequence[MemberNode] = list_members()
    except Unavailable:
        return []
    with ThreadPoolExecutor(ASK_AT_ONCE, "asking") as pool:
        return list(zip([member.id for member in members], pool.map(ask, members), strict=True))


def _links(member: MemberNode) -> dict[str, dict[str, float | None]] | None:
    try:
        told = ask_node(member, "peers")
        peers = msgspec.convert(told, _Peers).peers
    except (ApiError, TimeoutError, msgspec.ValidationError):
        return None
    return {
        peer.node_id: {
            "round_trip_ms": peer.round_trip_ms or None,
            "bytes": peer.counters.bytes_sent + peer.counters.bytes_received,
        }
        for peer in peers
        if peer.connected
    }
