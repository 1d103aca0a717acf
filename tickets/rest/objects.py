"""JSON objects about tickets, built from outcomes and from the platform's verified copy."""

from __future__ import annotations

from typing import Any

from dtvn.api.ordering import Decision
from dtvn.api.outcome import details
from dtvn.api.writes import issued_ticket
from dtvn.machine import parse_row, read_state, seeded_count
from dtvn.machine.contract import ticket_of_bytes, ticket_of_row
from dtvn.machine.rows import TicketRow
from tickets.services import events
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.models import Ticket
from validators.rest.http import OWN_WRITES_WAIT
from validators.services.network import gateway


def shown_ticket(row: TicketRow) -> dict[str, Any]:
    """A ticket of the platform's copy."""
    return ticket_of_row(row) | details(*parse_row(row, ()), events.zone_of)


def proved_ticket(state: bytes, issued: bytes) -> dict[str, Any]:
    """A ticket decoded from the canonical bytes that a leaf of the state covers. If the platform's copy does
    not know the newest members yet, their counts are left out of the clock."""
    names = [member.id for member in gateway().genesis.members]
    found = read_state(state)
    if found is None:
        raise ValueError("a ticket without a state")
    if len(found.clock) > len(names):
        names = read.member_names(LEARNER_ALIAS, names)
    return ticket_of_bytes(state, issued, names) | details(state, issued, events.zone_of)


def issued(decision: Decision) -> dict[str, Any]:
    """The ticket that an issue created; if only its code is known (as for repeats, R16), it is looked up in
    the platform's copy."""
    if known := issued_ticket(decision):
        return proved_ticket(*known)
    feed.wait_for(decision.result.sequence, OWN_WRITES_WAIT)
    row = read.read_ticket(LEARNER_ALIAS, decision.request.event, decision.request.ticket)
    return {"ID": decision.request.ticket} if row is None else shown_ticket(row)


def seeded(decision: Decision) -> dict[str, Any]:
    """The result of a seed: it is a single ordered operation, so every connected node created the same
    tickets."""
    result = decision.result
    if result.state:
        created = seeded_count(result.state)
    else:
        feed.wait_for(result.sequence, OWN_WRITES_WAIT)
        created = Ticket.objects.filter(event=decision.request.event, sequence=result.sequence).count()
    nodes = [member.id for member in gateway().members() if member.connected]
    return {
        "seeded": created,
        "unique": created,
        "total_seeded": created * len(nodes),
        "nodes": [{"node_id": node, "seeded": created} for node in nodes],
    }
