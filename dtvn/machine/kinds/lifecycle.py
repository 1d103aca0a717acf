"""The rule of the kinds that move a ticket along the table of transitions."""

from __future__ import annotations

from typing import Any

from dtvn.machine import reasons
from dtvn.machine.context import Context, present_state
from dtvn.machine.kinds.kind import Result
from dtvn.machine.ticket import Ticket
from dtvn.machine.transitions import TRANSITIONS, State
from dtvn.protocol.consensus.messages import Operation


def move(at: Context, operation: Operation, command: Any, ticket: Ticket | None) -> Result:
    """Move an existing ticket along the table of transitions."""
    if ticket is None:
        return reasons.TICKET_NOT_FOUND, b""
    kind = operation.kind
    before = ticket.status
    target = TRANSITIONS[command.verdict if kind == "resolve" else kind][before]
    if isinstance(target, str):
        return _late(at, operation, command, ticket, target), ticket.state
    if at.stands(operation, ticket):
        # No change can be made twice in a row, so this nonce belongs to an operation with another body (R13).
        return reasons.NONCE_REUSED, ticket.state
    validator = operation.entry if before is State.ISSUED else ticket.validator
    gate = device = note = ""
    if target is State.CONSUMED:
        if at.timestamp < ticket.not_before:
            return reasons.NOT_YET_VALID, ticket.state
        if 0 < ticket.not_after < at.timestamp:
            return reasons.NO_LONGER_VALID, ticket.state
        gate, device = command.gate, command.device
    elif target is State.DISPUTED:
        note = command.reason
    elif target is State.UPHELD:
        note = present_state(ticket).note
    at.count(operation)
    state = at.state(operation, operation.ticket, target, validator, gate, device, note)
    at.registry.change(ticket, state, target, validator)
    return reasons.OK, state


def _late(at: Context, operation: Operation, command: Any, ticket: Ticket, refusal: str) -> str:
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
