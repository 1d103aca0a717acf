"""The Ticket object of the contract: exact names, exact order (spec 1.3)."""

from __future__ import annotations

import base64
from typing import Any

from dtvn_project.routers import LEARNER_ALIAS
from tickets.machine import NAMES, Issue, TicketState, read_state, seeded_count
from tickets.machine.rows import TicketRow
from tickets.services import Decision
from tickets.services.network import gateway
from validators import canonical, feed
from validators.api.http import OWN_WRITES_WAIT
from validators.ledger import read
from validators.ledger.models import Ticket

__all__ = ["issued_ticket", "proved_ticket", "seeded", "ticket_object"]

MICROSECONDS = 1_000_000


def ticket_object(row: TicketRow) -> dict[str, Any]:
    """A ticket as it stands in the platform's copy."""
    return _ticket(row.ticket, row.state, row.data, row.validator, row.timestamp, row.clock, row.metadata)


def proved_ticket(state: bytes, issued: bytes) -> dict[str, Any]:
    """A ticket out of the canonical bytes that a state's leaf covers."""
    found = canonical.decode(TicketState, state)
    details = canonical.decode(Issue, issued)
    clock = _clock(found.clock)
    return _ticket(
        found.ticket,
        NAMES[found.state],
        details.data,
        found.validator,
        found.timestamp,
        clock,
        dict(details.metadata),
    )


def issued_ticket(decision: Decision) -> dict[str, Any]:
    """The ticket that an issue made, out of its outcome: nothing has to be read.

    Where only the code is known (told by repeats, R16) it is looked up in the platform's copy.
    """
    state = read_state(decision.result.state)
    details = decision.request.command
    if state is None or not isinstance(details, Issue):
        feed.wait_for(decision.result.sequence, OWN_WRITES_WAIT)
        row = read.read_ticket(LEARNER_ALIAS, decision.request.event, decision.request.ticket)
        return {"ID": decision.request.ticket} if row is None else ticket_object(row)
    clock = _clock(state.clock)
    return _ticket(
        state.ticket,
        NAMES[state.state],
        details.data,
        state.validator,
        state.timestamp,
        clock,
        dict(details.metadata),
    )


def seeded(decision: Decision) -> dict[str, Any]:
    """What a seed did: one ordered operation, so every connected node created the same (spec 3.3)."""
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


def _ticket(
    ticket: str,
    state: str,
    data: bytes,
    validator: str,
    timestamp: int,
    clock: dict[str, int],
    metadata: dict[str, str],
) -> dict[str, Any]:
    return {
        "ID": ticket,
        "State": state,
        "Data": base64.b64encode(data).decode("ascii") if data else None,
        "ValidatorID": validator,
        "Timestamp": timestamp // MICROSECONDS,
        "VectorClock": clock,
        "Metadata": metadata,
    }


def _clock(counts: tuple[int, ...]) -> dict[str, int]:
    """A vector clock with its members' names, zeros left out. Who joined later stands behind the founders;
    the platform's copy may not know the newest yet, whose count is then left out."""
    names = [member.id for member in gateway().genesis.members]
    if len(counts) > len(names):
        names = read.member_names(LEARNER_ALIAS, names)
    return {name: count for name, count in zip(names, counts, strict=False) if count}
