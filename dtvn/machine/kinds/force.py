"""force: a supervisor lets somebody in whom a list would refuse (R41)."""

from __future__ import annotations

from typing import ClassVar

from dtvn.machine import bodies, reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import Command, CommandError, Name
from dtvn.machine.kinds.kind import Kind, Rest, Result
from dtvn.machine.kinds.lifecycle import visit
from dtvn.machine.kinds.scans import (
    Code,
    ListName,
    Reason,
    ScanBody,
    check_scan,
    composed,
    shown_scan,
    told_scan,
    with_code,
)
from dtvn.machine.movements import FORCE
from dtvn.machine.order_of_reasons import Asked, decide
from dtvn.machine.ticket import Ticket, read_head
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.versions import LISTS


class Force(Command, frozen=True):
    """Enter a list whatever its window, products and entries say, and the ticket's window. It uses an entry
    that is left."""

    first_form: ClassVar[int] = 5

    gate: Name = ""
    device: Name = ""
    code: Code = b""
    """Digest of the code that was read; b"": the ticket is named by its id."""
    list: ListName = ""
    """Slug of the list; "" for `main`."""
    reason: Reason = ""
    """Needed. A text for operators; the log keeps it for ever, so it must hold no personal data."""


def check(command: Force) -> None:
    """Code, list and reason."""
    check_scan(command)
    if not command.reason:
        raise CommandError("reason: needed")


def shown(at: Context, operation: Operation, command: Force, ticket: Ticket | None) -> bytes:
    """See Kind.shown."""
    return shown_scan(at, operation, command, command.code, FORCE)


def rule(at: Context, operation: Operation, command: Force, ticket: Ticket | None) -> Result:
    """Make the entry, unless the ticket is unknown, revoked, blocked or disputed."""
    gate, device = command.gate, command.device
    asked = Asked(at, operation, command.code, gate, device, command.list, FORCE)
    refusal = decide(asked)
    if refusal is not None:
        return refusal, told_scan(asked)
    found = asked.ticket
    name = read_head(found.state).ticket
    visit(at, operation, found, asked.terms, name, asked.list, FORCE, gate, device)
    return reasons.OK, told_scan(asked)


class ForceBody(ScanBody, frozen=True, kw_only=True):
    """Body of /tickets/force."""

    reason: bodies.NeededReason


KIND = Kind(
    name="force",
    command=Force,
    rule=rule,
    since=LISTS,
    capability="supervise",
    former="admin",
    besides="gate",
    subject="unknown code",
    check=check,
    compose=composed,
    shown=shown,
    with_code=with_code,
    rest=Rest(
        ForceBody,
        "Admitted by force",
        "Enter a list though window, product, list or entries refuse it; never an unknown, revoked, blocked "
        "or disputed ticket.",
        example={"event": "fest", "barcode": "4ab7x2k9", "gate": "north", "reason": "guest of the house"},
        full=True,
    ),
    told=True,
    verb="forced in",
    event_type="ticket_consumed",
)
