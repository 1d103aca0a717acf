"""What the kinds share that change a ticket's terms, or tell them."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.machine import reasons
from dtvn.machine.context import Context, present_state
from dtvn.machine.kinds.kind import Result
from dtvn.machine.lists import MAIN, MAIN_SLUG, EventList
from dtvn.machine.terms import Terms
from dtvn.machine.ticket import Ticket, answered, read_terms
from dtvn.machine.visits import plain, visit_of
from dtvn.protocol.consensus.messages import Operation


def told(
    at: Context,
    event: str,
    ticket: Ticket | None,
    listed: EventList | None = None,
    kind: str = "",
    *,
    product_added: bool = False,
) -> bytes:
    """The AnsweredState of a ticket as it stands, b"" without one; a ListedState if it has to do with more
    than one entry on `main`. `listed`, `kind`: what was asked; None: the list `main`."""
    if ticket is None:
        return b""
    terms = read_terms(ticket.issued)
    listed = listed or at.events.list_of(event, MAIN_SLUG) or MAIN
    visit = None
    if listed is not MAIN or not plain(terms):
        visit = visit_of(present_state(ticket), terms, listed, at.timestamp, kind)
    return answered(ticket.state, terms, visit, product_added=product_added)


def shown(at: Context, operation: Operation, command: Any, ticket: Ticket | None) -> bytes:
    """See Kind.shown."""
    return told(at, operation.event, ticket)


def amend(at: Context, operation: Operation, ticket: Ticket, terms: Terms, changed: Terms) -> Result:
    """The result of a change of a ticket's terms, and of what that adds to the event's row; the ticket's
    state stays."""
    event, coded = operation.event, bool(changed.codes)
    if changed == terms:
        return reasons.OK, told(at, event, ticket)
    product = "" if changed.product == terms.product else changed.product
    if at.events.full(event, product, coded=coded):
        return reasons.FULL, told(at, event, ticket)
    at.count(operation)
    at.registry.amend(event, ticket, msgspec.structs.replace(changed, changed=True))
    added = at.events.add(event, product, at.moment, coded=coded)
    return reasons.OK, told(at, event, ticket, product_added=added)
