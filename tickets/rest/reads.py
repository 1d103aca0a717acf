"""Reads of tickets and of the log from the platform's verified copy, including its own writes (R17, R28)."""

from __future__ import annotations

from typing import Any

from dtvn.api.answers import Answer
from dtvn.api.calls import Call
from dtvn.api.errors import InvalidRequest
from dtvn.api.queries import read_event, read_records_query, read_tickets_query
from dtvn.api.reads import answer_page, answer_ticket
from dtvn.machine.fields import is_name
from tickets.rest.objects import proved_ticket, shown_ticket
from tickets.services import reading
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.copy_reader import CopyReader
from validators.rest.http import own_writes, waiting

LOCAL, QUORUM, LINEARIZABLE = READS = ("local", "quorum", "linearizable")
_copy = CopyReader(LEARNER_ALIAS)


def list_tickets(call: Call) -> Answer:
    """List the tickets of one event by ascending id; `limit`, `after`, `state`, `event`."""
    query = read_tickets_query(call.query)
    return answer_page(call, _copy, query, own_writes(call))


def list_records(call: Call) -> Answer:
    """The log: `limit`, `after` (sequence or sequence.index); `outcome=all` adds refusals, `kind=all` seeds
    and issues too, `state` only what is about that state of a ticket."""
    query = read_records_query(call.query)
    return answer_page(call, _copy, query, own_writes(call))


def show_ticket(call: Call, ticket_id: str) -> Answer:
    """Show one ticket; 404 if it does not exist. `read` sets the consistency (R18)."""
    event, kind = read_event(call.query), call.query.get("read", LOCAL)
    if kind not in READS:
        raise InvalidRequest(f"read must be one of {', '.join(READS)}")
    shown = {"X-DTVN-Read": kind}
    if kind == LOCAL or not is_name(ticket_id):
        sequence = own_writes(call)
        return answer_ticket(_found(event, ticket_id), sequence, shown)
    with waiting(call.actor):
        if kind == QUORUM:
            found = reading.quorum_read(event, ticket_id, at_least=call.min_sequence)
            proved = None if found.ticket is None else proved_ticket(*found.ticket)
            return answer_ticket(proved, found.sequence, shown)
        sequence = reading.caught_up(call.min_sequence)
    return answer_ticket(_found(event, ticket_id), sequence, shown)


def _found(event: str, ticket_id: str) -> dict[str, Any] | None:
    """The ticket, None also for a name that no ticket can have."""
    row = read.read_ticket(LEARNER_ALIAS, event, ticket_id) if is_name(ticket_id) else None
    return None if row is None else shown_ticket(row)
