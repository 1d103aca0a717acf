"""Reading tickets out of the platform's verified copy, its own writes included (R17, R28)."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpResponse, QueryDict
from rest_framework.request import Request as HttpRequest

from dtvn_project.routers import LEARNER_ALIAS
from tickets.api.objects import ticket_object
from tickets.machine import NAMES, reasons
from tickets.machine.commands import DEFAULT_EVENT, is_name
from tickets.services import InvalidRequest
from validators.api.errors import ApiError
from validators.api.http import ApiView, own_writes, success
from validators.ledger import read

__all__ = ["LIST_MAX", "TicketView", "next_link", "read_limit"]

LIST_MAX = 10_000
"""Items of one answer (spec 1.2)."""

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
        """One ticket; 404 while the platform's copy does not show it."""
        event = read_event(http._request.GET)
        sequence = own_writes(http)
        row = read.read_ticket(LEARNER_ALIAS, event, ticket_id) if is_name(ticket_id) else None
        if row is None:
            sentence = reasons.REASONS[reasons.TICKET_NOT_FOUND].sentence
            raise ApiError(
                404, reasons.TICKET_NOT_FOUND, sentence, headers={"X-DTVN-Sequence": str(sequence)}
            )
        return success(data=ticket_object(row), sequence=sequence)
