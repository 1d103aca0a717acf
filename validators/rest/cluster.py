"""The routes that the seed's supervisor proxied to a node: to any reachable one, the primary first (3.3)."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from heapq import merge
from itertools import islice
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from dtvn.gateway import Answered
from dtvn.machine.contract import consensus_record
from dtvn_project.routers import LEARNER_ALIAS
from simulator.web.feed import status_now
from tickets.rest.objects import pairs_of
from tickets.rest.queries import next_link, read_limit, read_log_query, read_position
from tickets.services import Unavailable
from tickets.services.network import gateway
from validators.ledger import read
from validators.ledger.models import OperationRecord
from validators.ledger.outcomes import ORDERED_OPERATION_SLOTS
from validators.membership.roster import MemberNode, list_members
from validators.rest.errors import ApiError
from validators.rest.http import ApiView, json_response, own_writes, success
from validators.rest.nodes import ASK_WAIT, OwnView, node_objects, own_sequence, read_answered

__all__ = ["ConfigView", "LogsView", "PeersView", "StatsView", "StatusView"]

SUPERVISOR = "supervisor"

PEER_FIELDS = ("id", "addrs", "connected_at", "node_id")

PRIMARY_WAIT = 0.5
"""Seconds for which only the primary is queried: a reader waits no longer than this for members that hang."""
ROWS_AT_ONCE = 2_000
RECORD_NUMBER_MAX = 2**63 - 1


def ask_any(what: str) -> tuple[MemberNode, dict[str, Any]] | None:
    """The answer of the primary, or the first other answer if the primary does not answer at once; None if no
    node answers in time."""
    try:
        members = [member for member in list_members() if member.up]
        members.sort(key=lambda member: not (member.view and member.view.primary))
        network = gateway()
    except Unavailable:
        return None
    asked: dict[Future[Answered], MemberNode] = {}
    for some, patience in ((members[:1], PRIMARY_WAIT), (members[1:], ASK_WAIT)):
        asked |= {network.query(each.index, what, wait=PRIMARY_WAIT + ASK_WAIT): each for each in some}
        if (found := _first_answer(asked, patience)) is not None:
            return found
    return None


def _first_answer(
    asked: dict[Future[Answered], MemberNode], patience: float
) -> tuple[MemberNode, dict[str, Any]] | None:
    """The first valid answer within `seconds`; nodes that gave another answer are removed from `asked`."""
    until = time.monotonic() + patience
    while asked:
        done, _ = wait(asked, timeout=max(0.0, until - time.monotonic()), return_when=FIRST_COMPLETED)
        if not done:
            return None
        for answer in done:
            member = asked.pop(answer)
            with suppress(ApiError):
                return member, read_answered(member, answer.result())
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
            "simulator_status": status_now(),
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
        if told.get("continues"):
            config["continues"] = told["continues"]
        return success(data=config, sequence=own_sequence(told))


class LogsView(ApiView):
    """GET /consensus/logs: one record per applied operation, ascending (spec 1.3)."""

    needs_nodes = True

    def get(self, http: Request) -> HttpResponse:
        """`limit`, `after` (sequence or sequence.index); `outcome=all` shows refusals, `kind=all` seeds
        and issues too, `state` only what is about that state of a ticket."""
        query = http._request.GET
        limit, after = read_limit(query), query.get("after")
        refused, all_kinds, state = read_log_query(query)
        records: QuerySet[OperationRecord] = OperationRecord.objects.order_by("id")
        if not refused:
            records = records.filter(code="ok")
        if after is not None:
            records = records.filter(id__gt=_behind(after))
        sequence = own_writes(http)
        if all_kinds and state is None:
            rows = list(records.exclude(operation__in=read.SILENT)[: limit + 1])
        else:
            rows = _listed(records, limit + 1, state)
        total = read.count_operations(LEARNER_ALIAS, refused=refused, all_kinds=all_kinds, state=state)
        headers = {"X_Total_Count": str(total)}
        if len(rows) > limit:
            rows.pop()
            headers["Link"] = next_link(
                http._request.path, pairs_of(query), f"{rows[-1].sequence}.{rows[-1].batch_index}"
            )
        return success(data=[_record(row) for row in rows], sequence=sequence, **headers)


def _listed(records: QuerySet[OperationRecord], limit: int, state: str | None) -> list[OperationRecord]:
    """The first `limit` records of the kinds in the default list, or of those about a state.

    Each kind is read from its own index, then merged: in log order, a million issued tickets may precede the
    first match.
    """
    kinds = filter(read.shown_kinds(all_kinds=False, state=state), read.operation_kinds(LEARNER_ALIAS))
    numbers = merge(*(_of_kind(records, kind)[:limit] for kind in kinds))
    wanted = list(islice(numbers, limit))
    rows: list[OperationRecord] = []
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        part = OperationRecord.objects.filter(id__in=wanted[start : start + ROWS_AT_ONCE])
        rows += part.order_by("id")
    return rows


def _of_kind(records: QuerySet[OperationRecord], kind: str) -> QuerySet[OperationRecord, int]:
    """Numbers of one kind. As a range with equal ends: for a plain `=` PostgreSQL chooses the index over
    numbers alone, expecting the first record of this kind soon."""
    found = records.filter(operation__gte=kind, operation__lte=kind).order_by("operation", "id")
    return found.values_list("id", flat=True)


def _behind(after: str) -> int:
    """The number of the last record that `after` excludes; numbers are in log order."""
    sequence, index = read_position(after, ORDERED_OPERATION_SLOTS)
    return min(sequence * ORDERED_OPERATION_SLOTS + index, RECORD_NUMBER_MAX)


def _record(row: OperationRecord) -> dict[str, Any]:
    return consensus_record(
        sequence=row.sequence,
        index=row.batch_index,
        view=row.view,
        request=bytes(row.request),
        ticket=row.ticket_id,
        kind=row.operation,
        digest=bytes(row.digest),
        timestamp=row.timestamp,
        entry=row.entry,
        code=row.code,
    )
