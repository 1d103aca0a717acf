"""Reading tickets out of the platform's verified copy, its own writes included (R17, R28)."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpResponse, QueryDict
from rest_framework.request import Request as HttpRequest

from dtvn_project.routers import LEARNER_ALIAS
from tickets.api.objects import proved_ticket, ticket_object
from tickets.machine import NAMES, reasons
from tickets.machine.commands import DEFAULT_EVENT, is_name
from tickets.services import InvalidRequest, Unavailable, reading
from validators import feed
from validators.api.errors import ApiError
from validators.api.http import ApiView, min_sequence, own_writes, success
from validators.ledger import read

__all__ = ["LIST_MAX", "TicketView", "next_link", "read_limit"]

LIST_MAX = 10_000
"""Items of one answer (spec 1.2)."""

LOCAL, QUORUM, LINEARIZABLE = READS = ("local", "quorum", "linearizable")
BARRIER_WAIT = 3.0
"""Seconds that a linearizable read waits for the platform's copy to show its barrier."""

STATES = frozenset(NAMES.values()) | {"PENDING"}
"""PENDING is a word of the wire that no ticket ever is in (spec 7)."""


def read_limit(query: QueryDict) -> int:
    """`limit`: 1 to 10,000, which is also the default."""
    text = query.get("limit")
    if text is None:
        return LIST_MAX
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= LIST_MAX):
        raise InvalidRequest(f"limit must be a number from 1 to {LIST_MAX}")
    return int(text)


def next_link(http: HttpRequest, **changes: str) -> str:
    """A Link header to the next page: this address with `after` moved on (RFC 8288)."""
    query = http._request.GET.copy()
    for name, value in changes.items():
        query[name] = value
    return f'<{http._request.path}?{urlencode(list(query.lists()), doseq=True)}>; rel="next"'


def read_event(query: QueryDict) -> str:
    """`event`: the default one when absent."""
    event = query.get("event", DEFAULT_EVENT)
    if not is_name(event):
        raise InvalidRequest("event must be 1 to 64 characters of A-Z a-z 0-9 . _ : -")
    return event


def read_kind(query: QueryDict) -> str:
    """`read`: what the answer promises (R18); the platform's own copy when absent."""
    kind = query.get("read", LOCAL)
    if kind not in READS:
        raise InvalidRequest(f"read must be one of {', '.join(READS)}")
    return kind


class TicketListView(ApiView):
    """GET /tickets. Issuing one is a POST to the same path: see urls."""

    def get(self, http: HttpRequest) -> HttpResponse:
        """Tickets of one event by ascending id; `limit`, `after`, `state`, `event`."""
        query = http._request.GET
        event, limit = read_event(query), read_limit(query)
        state, after = query.get("state"), query.get("after")
        if state is not None and state not in STATES:
            raise InvalidRequest(f"state must be one of {', '.join(sorted(STATES))}")
        if after is not None and not is_name(after):
            raise InvalidRequest("after must be a ticket id")
        sequence = own_writes(http)
        rows = read.list_tickets(
            LEARNER_ALIAS, limit=limit + 1, event=event, state=state, after=(event, after or "")
        )
        counts = read.count_tickets(LEARNER_ALIAS, event)
        total = sum(counts.values()) if state is None else counts.get(state, 0)
        headers = {"X_Total_Count": str(total)}
        if len(rows) > limit:
            rows.pop()
            headers["Link"] = next_link(http, after=rows[-1].ticket)
        return success(data=[ticket_object(row) for row in rows], sequence=sequence, **headers)


class TicketView(ApiView):
    """GET /tickets/{id}."""

    def get(self, http: HttpRequest, ticket_id: str) -> HttpResponse:
        """One ticket; 404 while it is not there. `read` says what the answer promises (R18)."""
        event = read_event(http._request.GET)
        kind = read_kind(http._request.GET)
        if not is_name(ticket_id):
            raise _not_found(own_writes(http), kind)
        if kind == QUORUM:
            return self._quorum(http, event, ticket_id)
        if kind == LINEARIZABLE:
            ordered = reading.barrier()
            sequence = feed.wait_for(max(ordered, min_sequence(http)), BARRIER_WAIT)
            if sequence < ordered:
                raise Unavailable("The platform's copy is behind; ask again later.")
        else:
            sequence = own_writes(http)
        row = read.read_ticket(LEARNER_ALIAS, event, ticket_id)
        if row is None:
            raise _not_found(sequence, kind)
        return success(data=ticket_object(row), sequence=sequence, X_DTVN_Read=kind)

    def _quorum(self, http: HttpRequest, event: str, ticket_id: str) -> HttpResponse:
        found = reading.quorum_read(event, ticket_id, at_least=min_sequence(http))
        if found.ticket is None:
            raise _not_found(found.sequence, QUORUM)
        data = proved_ticket(*found.ticket)
        return success(data=data, sequence=found.sequence, X_DTVN_Read=QUORUM)


def _not_found(sequence: int, kind: str) -> ApiError:
    sentence = reasons.REASONS[reasons.TICKET_NOT_FOUND].sentence
    headers = {"X-DTVN-Sequence": str(sequence), "X-DTVN-Read": kind}
    return ApiError(404, reasons.TICKET_NOT_FOUND, sentence, headers=headers)
