"""The routes that the seed's supervisor proxied to a node: any reachable one, the primary first (3.3)."""

from __future__ import annotations

import re
from heapq import merge
from itertools import islice
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from dtvn_project.routers import LEARNER_ALIAS
from tickets.api.reads import next_link, read_limit
from tickets.services import InvalidRequest, Unavailable
from validators.api.errors import ApiError
from validators.api.http import ApiView, json_response, own_writes, success
from validators.api.nodes import OwnView, ask_node, node_objects, own_sequence
from validators.ledger import read
from validators.ledger.models import OperationRecord
from validators.ledger.outcomes import ORDERED_OPERATION_SLOTS, UNLISTED
from validators.services.roster import MemberNode, list_members

__all__ = ["ConfigView", "LogsView", "PeersView", "StatsView", "StatusView"]

MICROSECONDS = 1_000_000
SUPERVISOR = "supervisor"

PEER_FIELDS = ("id", "addrs", "connected_at", "node_id")

AFTER = re.compile(r"(\d{1,18})(?:\.(\d{1,5}))?", re.ASCII)
REQUEST_DIGITS = 32
ROWS_AT_ONCE = 2_000
RECORD_NUMBER_MAX = 2**63 - 1


def ask_any(what: str) -> tuple[MemberNode, dict[str, Any]] | None:
    """The answer of the primary, else of any member that gives one; None when nobody does."""
    try:
        members = [member for member in list_members() if member.up]
    except Unavailable:
        return None
    for member in sorted(members, key=lambda member: not (member.view and member.view.primary)):
        try:
            return member, ask_node(member, what)
        except ApiError:
            continue
    return None


class StatusView(OwnView):
    """GET /status."""

    def get(self, http: Request) -> HttpResponse:
        """What this platform runs."""
        listed = node_objects()
        status = {
            "supervisor": "running",
            "nodes_count": len(listed),
            "nodes": listed,
            "simulator_status": "idle",
        }
        return json_response(status)


class StatsView(ApiView):
    """GET /stats."""

    def get(self, http: Request) -> HttpResponse:
        """A node's Stats and `mode`; without any node the supervisor's own, bare."""
        found = ask_any("stats")
        if found is None:
            return json_response(
                {
                    "node_id": SUPERVISOR,
                    "peer_count": 0,
                    "is_primary": False,
                    "current_view": 0,
                    "sequence": 0,
                    "mode": SUPERVISOR,
                    "nodes_count": len(node_objects()),
                }
            )
        return success(data=found[1] | {"mode": SUPERVISOR}, sequence=own_sequence(found[1]))


class PeersView(ApiView):
    """GET /peers."""

    def get(self, http: Request) -> HttpResponse:
        """Whom a node is connected to."""
        found = ask_any("peers")
        told = [] if found is None else found[1].get("peers", [])
        peers = [
            {name: peer[name] for name in PEER_FIELDS if name in peer}
            for peer in (told if isinstance(told, list) else [])
            if isinstance(peer, dict) and peer.get("connected", True)
        ]
        return success("No node answers." if found is None else "", {"peers": peers})


class ConfigView(ApiView):
    """GET /config."""

    def get(self, http: Request) -> HttpResponse:
        """A node's place in the cluster."""
        found = ask_any("status")
        if found is None:
            count = len(node_objects())
            return success("No node answers.", {"mode": SUPERVISOR, "nodes_count": count})
        member, told = found
        config = {
            "node_id": member.id,
            "total_nodes": told.get("members", 0),
            "is_primary": told.get("is_primary", False),
            "current_view": told.get("view", 0),
            "mode": SUPERVISOR,
        }
        return success(data=config, sequence=own_sequence(told))


class LogsView(ApiView):
    """GET /consensus/logs: one record per applied operation, ascending (spec 1.3)."""

    def get(self, http: Request) -> HttpResponse:
        """`limit`, `after` (sequence or sequence.index); `outcome=all` shows refusals, `kind=all` seeds
        and issues too."""
        query = http._request.GET
        limit, after = read_limit(query), query.get("after")
        for name in ("outcome", "kind"):
            if query.get(name, "all") != "all":
                raise InvalidRequest(f"{name} must be all, or absent")
        records: QuerySet[OperationRecord] = OperationRecord.objects.order_by("id")
        if "outcome" not in query:
            records = records.filter(code="ok")
        if after is not None:
            records = records.filter(id__gt=_behind(after))
        sequence = own_writes(http)
        if "kind" in query:
            rows = list(records.exclude(operation__in=read.SILENT)[: limit + 1])
        else:
            rows = _listed(records, limit + 1)
        total = read.count_operations(LEARNER_ALIAS, refused="outcome" in query, all_kinds="kind" in query)
        headers = {"X_Total_Count": str(total)}
        if len(rows) > limit:
            rows.pop()
            headers["Link"] = next_link(http, after=f"{rows[-1].sequence}.{rows[-1].batch_index}")
        return success(data=[_record(row) for row in rows], sequence=sequence, **headers)


def _listed(records: QuerySet[OperationRecord], limit: int) -> list[OperationRecord]:
    """The first `limit` of the kinds that the plain list shows.

    Each kind from its own index, then merged: in the order of the log a million issued tickets may
    stand before the first of them.
    """
    kinds = [kind for kind in read.operation_kinds(LEARNER_ALIAS) if kind not in UNLISTED]
    numbers = merge(*(_of_kind(records, kind)[:limit] for kind in kinds))
    wanted = list(islice(numbers, limit))
    rows: list[OperationRecord] = []
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        part = OperationRecord.objects.filter(id__in=wanted[start : start + ROWS_AT_ONCE])
        rows += part.order_by("id")
    return rows


def _of_kind(records: QuerySet[OperationRecord], kind: str) -> QuerySet[OperationRecord, int]:
    """Numbers of one kind. As a range, though its ends are one: for a mere `=` PostgreSQL takes the index
    over numbers alone, expecting the first of this kind soon."""
    found = records.filter(operation__gte=kind, operation__lte=kind).order_by("operation", "id")
    return found.values_list("id", flat=True)


def _behind(after: str) -> int:
    """The number of the last record that `after` leaves out; numbers are in the order of the log."""
    found = AFTER.fullmatch(after)
    if found is None:
        raise InvalidRequest("after must be a sequence, or sequence.index")
    index = ORDERED_OPERATION_SLOTS - 1 if found[2] is None else int(found[2])
    return min(int(found[1]) * ORDERED_OPERATION_SLOTS + index, RECORD_NUMBER_MAX)


def _record(row: OperationRecord) -> dict[str, Any]:
    """A ConsensusRecord; `code` and `index` are ours."""
    return {
        "sequence": row.sequence,
        "view": row.view,
        "request_id": f"{bytes(row.request).hex()[:REQUEST_DIGITS]}-{row.batch_index}",
        "ticket_id": row.ticket_id,
        "operation": row.operation.upper(),
        "digest": bytes(row.digest).hex(),
        "timestamp": row.timestamp // MICROSECONDS,
        "index": row.batch_index,
        "node_id": row.entry,
        "code": row.code,
    }
