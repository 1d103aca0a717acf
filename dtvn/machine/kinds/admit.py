"""admit: a ticket enters a list, or leaves it; on `main`, it is validated and consumed in one step."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from dtvn.machine import reasons
from dtvn.machine.codes import DIGEST_SIZE, code_place
from dtvn.machine.context import Context
from dtvn.machine.fields import Command, CommandError, Name
from dtvn.machine.kinds.kind import Act, Kind, Rest, Result
from dtvn.machine.kinds.lifecycle import move, settle, visit
from dtvn.machine.kinds.scans import (
    ListName,
    ScanBody,
    check_scan,
    composed,
    shown_scan,
    told_scan,
    with_code,
)
from dtvn.machine.movements import ENTRY
from dtvn.machine.order_of_reasons import Asked, decide
from dtvn.machine.ticket import Ticket, answered, read_head
from dtvn.machine.transitions import State
from dtvn.protocol.consensus.messages import Operation


class Admit(Command, frozen=True):
    """Enter a list or leave it: what a gate does with one scan. On `main`, ISSUED or VALIDATED becomes
    CONSUMED with the last entry."""

    first_form: ClassVar[int] = 2

    gate: Name = ""
    device: Name = ""
    code: Annotated[bytes, msgspec.Meta(max_length=DIGEST_SIZE)] | None = None
    """Digest of the code that was read; the operation's ticket may then be "". b"": none, the ticket is named
    by its id. None: the first form, which names it so too and has the reasons in their earlier order."""
    list: ListName = ""
    """Slug of the list; "" for `main`."""
    kind: Literal["entry", "exit"] = "entry"


def check(command: Admit) -> None:
    """Code and list."""
    if command.code is None and (command.list or command.kind != ENTRY):
        raise CommandError("code: none, which no list and no exit goes with")
    check_scan(command)


def oldest(payload: bytes) -> bytes:
    """A payload whose third and last field is no code, as one of two fields: the first form says the same."""
    if payload[:1] == b"\x93" and payload[-2:] == b"\xc4\x00" and code_place(payload) < 0:
        return b"\x92" + payload[1:-2]
    return payload


def shown(at: Context, operation: Operation, command: Admit, ticket: Ticket | None) -> bytes:
    """The ticket's state, and its terms unless this is the first form."""
    if command.code is None:
        return b"" if ticket is None else ticket.state
    return shown_scan(at, operation, command, command.code, command.kind)


def rule(at: Context, operation: Operation, command: Admit, ticket: Ticket | None) -> Result:
    """Make the entry or the exit, unless one of the checks in order_of_reasons.py gives a reason not to."""
    if command.code is None:
        return move(at, operation, command, ticket)
    asked = Asked(at, operation, command.code, command.gate, command.device, command.list, command.kind)
    refusal = decide(asked)
    if refusal is not None:
        return refusal, told_scan(asked)
    found, gate, device = asked.ticket, command.gate, command.device
    name = read_head(found.state).ticket
    if asked.first and command.kind == ENTRY:
        state = settle(at, operation, found, name, State.CONSUMED, gate, device)
        return reasons.OK, answered(state, asked.terms)
    visit(at, operation, found, asked.terms, name, asked.list, command.kind, gate, device)
    return reasons.OK, told_scan(asked)


class AdmitBody(ScanBody, frozen=True, kw_only=True):
    """Body of /tickets/admit."""

    kind: Annotated[Literal["entry", "exit"], msgspec.Meta(description='"entry" or "exit"')] = "entry"


KIND = Kind(
    name="admit",
    command=Admit,
    rule=rule,
    capability="gate",
    subject="unknown code",
    check=check,
    compose=composed,
    shown=shown,
    oldest=oldest,
    with_code=with_code,
    rest=Rest(
        AdmitBody,
        "Admitted",
        "Enter a list, or leave it, with one scan, by code or by id; on main, ISSUED or VALIDATED becomes "
        "CONSUMED with the last entry.",
        example={"event": "fest", "barcode": "4ab7x2k9", "gate": "north", "nonce": "scan-0001"},
        full=True,
    ),
    told=True,
    verb="admitted",
    acts=(
        Act(
            name="admit",
            past="admitted",
            consequence="The guest comes in, and an entry of the ticket is used: "
            "only annulling takes that back.",
        ),
    ),
    event_type="ticket_consumed",
)
