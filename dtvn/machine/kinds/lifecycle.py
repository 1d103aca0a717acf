"""The rule of the kinds that move a ticket along the table of transitions."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.machine import reasons
from dtvn.machine.context import Context, present_state
from dtvn.machine.kinds.kind import Result
from dtvn.machine.lists import MAIN, MAIN_SLUG, EventList
from dtvn.machine.movements import ANNUL, CONSUME, ENTRY, IMPORT, Movement, Visits, made
from dtvn.machine.order_of_reasons import by_name_only, entries_refuse, outside_window
from dtvn.machine.terms import Terms
from dtvn.machine.ticket import Ticket, read_terms
from dtvn.machine.transitions import TRANSITIONS, State
from dtvn.machine.visits import plain, visits_of
from dtvn.protocol.consensus.messages import Operation

FIRST = Terms()
"""Stands for terms of the first form where they are not changed: they know nothing of lists."""
_PLAIN_ENTRIES = frozenset((ENTRY, CONSUME, IMPORT))
"""Entries that a ticket's state can describe."""


def move(at: Context, operation: Operation, command: Any, ticket: Ticket | None) -> Result:
    """Move an existing ticket along the table of transitions."""
    if operation.kind in ("admit", "consume") and by_name_only(at, operation, ticket):
        return reasons.NOT_PERMITTED, b"" if ticket is None else ticket.state
    if ticket is None:
        return reasons.TICKET_NOT_FOUND, b""
    kind = operation.kind
    if kind in ("admit", "consume") and (code := _repeats(at, operation, command, ticket)) is not None:
        return code, ticket.state
    target = TRANSITIONS[command.verdict if kind == "resolve" else kind][ticket.status]
    if isinstance(target, str):
        return late(at, operation, command, ticket, target), ticket.state
    if at.stands(operation, ticket):
        # No change can be made twice in a row, so this nonce belongs to an operation with another body (R13).
        return reasons.NONCE_REUSED, ticket.state
    if (refusal := _terms_refuse(at, operation, ticket, target)) is not None:
        return refusal, ticket.state
    name, note = operation.ticket, ""
    if target is State.CONSUMED:
        main = at.events.list_of(operation.event, MAIN_SLUG) or MAIN
        made_by, gate, device = CONSUME if kind == "consume" else ENTRY, command.gate, command.device
        terms = FIRST if ticket.plain and main is MAIN else read_terms(ticket.issued)
        return reasons.OK, visit(at, operation, ticket, terms, name, main, made_by, gate, device)
    if target is State.DISPUTED:
        note = command.reason
    elif target is State.UPHELD:
        note = present_state(ticket).note
    return reasons.OK, settle(at, operation, ticket, name, target, note=note)


def settle(
    at: Context,
    operation: Operation,
    ticket: Ticket,
    name: str,
    target: State,
    gate: str = "",
    device: str = "",
    note: str = "",
    terms: Terms | None = None,
) -> bytes:
    """Move a ticket to a state, of which the bytes are returned. `name`: the ticket's id; `terms`: changed
    ones."""
    validator = operation.entry if ticket.status is State.ISSUED else ticket.validator
    at.count(operation)
    state = at.state(operation, name, target, validator, gate, device, note)
    at.registry.change(ticket, state, target, validator, terms)
    return state


def visit(
    at: Context,
    operation: Operation,
    ticket: Ticket,
    terms: Terms,
    name: str,
    listed: EventList,
    kind: str,
    gate: str,
    device: str,
    *,
    changed: bool = False,
) -> bytes:
    """Make an entry or an exit that nothing refuses; returns the ticket's state. `kind`: see Movement;
    `changed`: whether the terms are other ones than the ticket has."""
    if listed is MAIN and kind in _PLAIN_ENTRIES and plain(terms) and ticket.status is not State.CONSUMED:
        kept = terms if changed else None
        return settle(at, operation, ticket, name, State.CONSUMED, gate, device, terms=kept)
    before = visits_of(present_state(ticket), read_terms(ticket.issued) if changed else terms)
    visits = msgspec.structs.replace(before.dated(listed), imported_at=terms.entered_at)
    known = visits.count(listed.slug)
    if kind == IMPORT and terms.entered_at:
        day = listed.day(terms.entered_at)
    else:
        day = max(listed.day(at.timestamp), known.day if known else 0)
    movement = movement_of(at, operation, listed.slug, kind, day, gate, device)
    after = made(visits, movement, at.events.lists(operation.event))
    return keep(at, operation, ticket, terms, name, after, movement)


def movement_of(
    at: Context, operation: Operation, slug: str, kind: str, day: int, gate: str, device: str
) -> Movement:
    """The movement that this operation makes."""
    stands = kind != ANNUL
    signed = at.principal, operation.actor, operation.nonce
    return Movement(slug, kind, stands, at.timestamp, day, gate, device, *signed, *at.place)


def keep(
    at: Context,
    operation: Operation,
    ticket: Ticket,
    terms: Terms,
    name: str,
    visits: Visits,
    movement: Movement,
) -> bytes:
    """Write a ticket's movements after this one; returns its state, which is CONSUMED if no entry on `main`
    is left (R41)."""
    consumed = ticket.status is State.CONSUMED
    if movement.list == MAIN_SLUG:
        main = at.events.list_of(operation.event, MAIN_SLUG) or MAIN
        consumed = visits.tally(main, terms.entries, at.timestamp).exhausted
    target = State.CONSUMED if consumed else State.VALIDATED
    changed = msgspec.structs.replace(terms, counts=visits.counts, movements=visits.movements)
    gate, device = ("", "") if movement.kind == ANNUL else (movement.gate, movement.device)
    return settle(at, operation, ticket, name, target, gate, device, terms=changed)


def _repeats(at: Context, operation: Operation, command: Any, ticket: Ticket) -> str | None:
    """`ok` or `nonce_reused` for a late retry of an entry that the ticket's terms hold; None: it is none."""
    if ticket.plain:
        return None
    movement = at.moved(operation, ticket, read_terms(ticket.issued))
    if movement is None:
        return None
    kind = CONSUME if operation.kind == "consume" else ENTRY
    said = MAIN_SLUG, kind, command.gate, command.device
    same = said == (movement.list, movement.kind, movement.gate, movement.device)
    return reasons.OK if same else reasons.NONCE_REUSED


def _terms_refuse(at: Context, operation: Operation, ticket: Ticket, target: State) -> str | None:
    """Why the ticket's terms do not let it be validated or consumed: block, product, window (the order of the
    first form of an admission), then the entries of `main`."""
    event = operation.event
    if target is not State.CONSUMED and operation.kind != "validate":
        return None
    if ticket.plain and not at.events.declared(event):
        return outside_window(at, ticket) if target is State.CONSUMED else None
    terms = read_terms(ticket.issued)
    if terms.blocked:
        return reasons.BLOCKED
    if target is not State.CONSUMED:
        return None
    main = at.events.list_of(event, MAIN_SLUG) or MAIN
    if not at.events.takes(event, main, terms.product):
        return reasons.WRONG_PRODUCT
    if (outside := outside_window(at, ticket)) is not None:
        return outside
    if not main.is_open(at.timestamp):
        return reasons.LIST_CLOSED
    return entries_refuse(at, event, ticket, terms, main)


def late(at: Context, operation: Operation, command: Any, ticket: Ticket, refusal: str) -> str:
    """`ok` if this operation repeats the ticket's last change after its nonce was dropped (R13);
    `nonce_reused` if it has that nonce but differs; else `refusal`."""
    if not at.stands(operation, ticket):
        return refusal
    present = present_state(ticket)
    same = present.operation == operation.kind
    if operation.kind == "resolve":
        goal = State.VALIDATED if command.verdict == "clear" else State.UPHELD
        same = same and present.state is goal
    elif operation.kind == "dispute":
        same = same and present.note == command.reason
    elif operation.kind != "validate":
        same = same and (present.gate, present.device) == (command.gate, command.device)
    return reasons.OK if same else reasons.NONCE_REUSED
