"""Reads of tickets from the platform's verified copy, including its own writes (R17, R28)."""

from __future__ import annotations

from django.http import HttpResponse, QueryDict
from rest_framework.request import Request as HttpRequest

from dtvn.machine import reasons
from dtvn.machine.commands import is_name
from dtvn.machine.contract import ticket_of_row
from dtvn_project.routers import LEARNER_ALIAS
from tickets.rest.objects import pairs_of, proved_ticket
from tickets.rest.queries import next_link, read_event, read_limit, read_ticket_query
from tickets.services import InvalidRequest, Unavailable, reading
from validators import feed
from validators.ledger import read
from validators.rest.errors import ApiError
from validators.rest.http import ApiView, min_sequence, own_writes, success

__all__ = ["TicketListView", "TicketView"]

LOCAL, QUORUM, LINEARIZABLE = READS = ("local", "quorum", "linearizable")
BARRIER_WAIT = 3.0
"""Seconds that a linearizable read waits until the platform's copy has applied its barrier."""


def read_kind(query: QueryDict) -> str:
    """`read`: the consistency of the answer (R18); the platform's own copy when absent."""
    kind = query.get("read", LOCAL)
    if kind not in READS:
        raise InvalidRequest(f"read must be one of {', '.join(READS)}")
    return kind


class TicketListView(ApiView):
    """GET /tickets. Issuing one is a POST to the same path: see urls."""

    needs_nodes = True

    def get(self, http: HttpRequest) -> HttpResponse:
        """Tickets of one event by ascending id; `limit`, `after`, `state`, `event`."""
        query = http._request.GET
        event, limit = read_event(query), read_limit(query)
        state, after = read_ticket_query(query)
        sequence = own_writes(http)
        rows = read.list_tickets(
            LEARNER_ALIAS, limit=limit + 1, event=event, state=state, after=(event, after)
        )
        counts = read.count_tickets(LEARNER_ALIAS, event)
        total = sum(counts.values()) if state is None else counts.get(state, 0)
        headers = {"X_Total_Count": str(total)}
        if len(rows) > limit:
            rows.pop()
            headers["Link"] = next_link(http._request.path, pairs_of(query), rows[-1].ticket)
        return success(data=[ticket_of_row(row) for row in rows], sequence=sequence, **headers)


class TicketView(ApiView):
    """GET /tickets/{id}."""

    needs_nodes = True

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
        return success(data=ticket_of_row(row), sequence=sequence, X_DTVN_Read=kind)

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
