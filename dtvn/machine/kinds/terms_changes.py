"""What the kinds share that change a ticket's terms, or tell them."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.machine import reasons
from dtvn.machine.context import Context
from dtvn.machine.kinds.kind import Result
from dtvn.machine.terms import Terms
from dtvn.machine.ticket import Ticket, answered, read_terms
from dtvn.protocol.consensus.messages import Operation


def told(ticket: Ticket | None, *, product_added: bool = False) -> bytes:
    """The AnsweredState of a ticket as it stands, b"" without one."""
    if ticket is None:
        return b""
    return answered(ticket.state, read_terms(ticket.issued), product_added=product_added)


def shown(at: Context, operation: Operation, command: Any, ticket: Ticket | None) -> bytes:
    """See Kind.shown."""
    return told(ticket)


def amend(at: Context, operation: Operation, ticket: Ticket, terms: Terms, changed: Terms) -> Result:
    """The result of a change of a ticket's terms, and of what that adds to the event's row; the ticket's
    state stays."""
    if changed == terms:
        return reasons.OK, told(ticket)
    event, coded = operation.event, bool(changed.codes)
    product = "" if changed.product == terms.product else changed.product
    if at.events.full(event, product, coded=coded):
        return reasons.FULL, told(ticket)
    at.count(operation)
    at.registry.amend(event, ticket, msgspec.structs.replace(changed, changed=True))
    added = at.events.add(event, product, at.moment, coded=coded)
    return reasons.OK, told(ticket, product_added=added)
