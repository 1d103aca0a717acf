"""annul: the newest movement of a ticket on a list is taken back (R41)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from dtvn.machine import bodies, reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import NONCE_BYTES_MAX, Command, CommandError, Name
from dtvn.machine.kinds.kind import Kind, Rest, Result
from dtvn.machine.kinds.lifecycle import keep, movement_of
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
from dtvn.machine.movements import ANNUL, annulled
from dtvn.machine.order_of_reasons import Asked, decide
from dtvn.machine.ticket import Ticket, read_head
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.versions import LISTS

NonceOrNone = Annotated[bytes, msgspec.Meta(max_length=NONCE_BYTES_MAX)]


class Annul(Command, frozen=True):
    """Take back the newest entry or exit that stands on a list. The log keeps both."""

    first_form: ClassVar[int] = 3

    gate: Name = ""
    """Where it is taken back."""
    device: Name = ""
    """The device that made it: if another one did, nothing is taken back."""
    code: Code = b""
    """Digest of the code that was read; b"": the ticket is named by its id."""
    list: ListName = ""
    """Slug of the list; "" for `main`."""
    reason: Reason = ""
    """A text for operators; the log keeps it for ever, so it must hold no personal data."""
    supervised: bool = False
    """Whether to take it back though another person made it, or more than 15 minutes ago: that needs
    `supervise` and a reason."""
    movement: NonceOrNone = b""
    """Nonce of the operation that made it: if the newest one is another, nothing is taken back. b"": the
    newest one, whichever it is."""


def check(command: Annul) -> None:
    """Code, list and reason; the length of the nonce is the field's."""
    check_scan(command)
    if command.supervised and not command.reason:
        raise CommandError("reason: needed for what is supervised")


def shown(at: Context, operation: Operation, command: Annul, ticket: Ticket | None) -> bytes:
    """See Kind.shown."""
    return shown_scan(at, operation, command, command.code, ANNUL)


def rule(at: Context, operation: Operation, command: Annul, ticket: Ticket | None) -> Result:
    """Take it back, unless one of the checks in order_of_reasons.py gives a reason not to."""
    gate, device = command.gate, command.device
    asked = Asked(
        at,
        operation,
        command.code,
        gate,
        device,
        command.list,
        ANNUL,
        supervised=command.supervised,
        movement=command.movement,
    )
    refusal = decide(asked)
    if refusal is not None:
        return refusal, told_scan(asked)
    found, before = asked.ticket, asked.visits.dated(asked.list)
    taken = before.newest(asked.slug)
    if taken is None:
        raise RuntimeError("the order of the checks is broken")
    movement = movement_of(at, operation, asked.slug, ANNUL, taken.day, gate, device)
    visits = annulled(before, taken, movement)
    keep(at, operation, found, asked.terms, read_head(found.state).ticket, visits, movement)
    return reasons.OK, told_scan(asked)


class AnnulBody(ScanBody, frozen=True, kw_only=True):
    """Body of /tickets/annul."""

    reason: bodies.Reason = ""
    supervised: bodies.Flag = False
    movement: bodies.Nonce | None = None
    """Nonce of the scan that is to be taken back."""

    def fields(self) -> dict[str, Any]:
        """See ScanBody."""
        return super().fields() | {"movement": (self.movement or "").encode()}


KIND = Kind(
    name="annul",
    command=Annul,
    rule=rule,
    since=LISTS,
    capability="gate",
    subject="unknown code",
    check=check,
    compose=composed,
    shown=shown,
    with_code=with_code,
    rest=Rest(
        AnnulBody,
        "Annulled",
        "Take back the newest entry or exit on a list, which the same device and person made within 15 "
        "minutes; `supervised`, with a reason, later or of another person. `movement`, the nonce of a scan: "
        "only if that scan made the newest one.",
        example={
            "event": "fest",
            "barcode": "4ab7x2k9",
            "device": "d1",
            "movement": "scan-0001",
            "nonce": "undo-0001",
        },
        full=True,
    ),
    told=True,
    verb="annulled",
    event_type="ticket_annulled",
)
