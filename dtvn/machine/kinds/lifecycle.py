"""The rule of the kinds that move a ticket along the table of transitions."""

from __future__ import annotations

from typing import Any

from dtvn.machine import reasons
from dtvn.machine.context import Context, present_state
from dtvn.machine.kinds.kind import Result
from dtvn.machine.order_of_reasons import by_name_only, outside_window
from dtvn.machine.ticket import Ticket, read_terms
from dtvn.machine.transitions import TRANSITIONS, State
from dtvn.protocol.consensus.messages import Operation


def move(at: Context, operation: Operation, command: Any, ticket: Ticket | None) -> Result:
    """Move an existing ticket along the table of transitions."""
    if operation.kind in ("admit", "consume") and by_name_only(at, operation, ticket):
        return reasons.NOT_PERMITTED, b"" if ticket is None else ticket.state
    if ticket is None:
        return reasons.TICKET_NOT_FOUND, b""
    kind = operation.kind
    target = TRANSITIONS[command.verdict if kind == "resolve" else kind][ticket.status]
    if isinstance(target, str):
        return late(at, operation, command, ticket, target), ticket.state
    if at.stands(operation, ticket):
        # No change can be made twice in a row, so this nonce belongs to an operation with another body (R13).
        return reasons.NONCE_REUSED, ticket.state
    gate = device = note = ""
    if (refusal := _terms_refuse(at, operation, ticket, target)) is not None:
        return refusal, ticket.state
    if target is State.CONSUMED:
        gate, device = command.gate, command.device
    elif target is State.DISPUTED:
        note = command.reason
    elif target is State.UPHELD:
        note = present_state(ticket).note
    return reasons.OK, settle(at, operation, ticket, operation.ticket, target, gate, device, note)


def settle(
    at: Context,
    operation: Operation,
    ticket: Ticket,
    name: str,
    target: State,
    gate: str = "",
    device: str = "",
    note: str = "",
) -> bytes:
    """Move a ticket to a state, of which the bytes are returned. `name`: the ticket's id."""
    validator = operation.entry if ticket.status is State.ISSUED else ticket.validator
    at.count(operation)
    state = at.state(operation, name, target, validator, gate, device, note)
    at.registry.change(ticket, state, target, validator)
    return state


def _terms_refuse(at: Context, operation: Operation, ticket: Ticket, target: State) -> str | None:
    """Why the ticket's terms do not let it be validated or consumed: block, product, window (the order of the
    first form of an admission)."""
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
    if not at.events.opens(event, terms.product):
        return reasons.WRONG_PRODUCT
    return outside_window(at, ticket)


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
