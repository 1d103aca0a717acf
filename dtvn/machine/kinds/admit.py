"""admit: a ticket is validated and consumed in one step."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from dtvn.machine import bodies, reasons
from dtvn.machine.codes import DIGEST_SIZE
from dtvn.machine.context import Context
from dtvn.machine.fields import Command, CommandError, Name
from dtvn.machine.kinds.kind import Act, Kind, Rest, Result
from dtvn.machine.kinds.lifecycle import move, settle
from dtvn.machine.kinds.terms_changes import told
from dtvn.machine.order_of_reasons import Asked, decide, find
from dtvn.machine.ticket import Ticket, answered, read_head
from dtvn.machine.transitions import State
from dtvn.protocol.consensus.messages import Operation


class Admit(Command, frozen=True):
    """ISSUED or VALIDATED to CONSUMED in one step: what a gate does with one scan."""

    first_form: ClassVar[int] = 2

    gate: Name = ""
    device: Name = ""
    code: Annotated[bytes, msgspec.Meta(max_length=DIGEST_SIZE)] | None = None
    """Digest of the code that was read; the operation's ticket may then be "". b"": none, the ticket is named
    by its id. None: the first form, which names it so too and has the reasons in their earlier order."""


def check(command: Admit) -> None:
    """The code."""
    if command.code and len(command.code) != DIGEST_SIZE:
        raise CommandError(f"code: {DIGEST_SIZE} bytes or none")


def with_code(command: Admit, digest: bytes) -> Admit:
    """See Kind.with_code."""
    return Admit(command.gate, command.device, digest)


def shown(at: Context, operation: Operation, command: Admit, ticket: Ticket | None) -> bytes:
    """The ticket's state, and its terms unless this is the first form."""
    if command.code is None:
        return b"" if ticket is None else ticket.state
    return told(find(at, operation, command.code))


def rule(at: Context, operation: Operation, command: Admit, ticket: Ticket | None) -> Result:
    """Admit the ticket, unless one of the checks in order_of_reasons.py gives a reason not to."""
    if command.code is None:
        return move(at, operation, command, ticket)
    asked = Asked(at, operation, command.code, command.gate, command.device)
    refusal = decide(asked)
    if refusal is not None:
        return refusal, b"" if asked.found is None else answered(asked.found.state, asked.terms)
    name = read_head(asked.ticket.state).ticket
    state = settle(at, operation, asked.ticket, name, State.CONSUMED, command.gate, command.device)
    return reasons.OK, answered(state, asked.terms)


class AdmitBody(bodies.OperationBody, frozen=True, kw_only=True):
    """Body of /tickets/admit."""

    one_of: ClassVar[tuple[str, ...]] = ("barcode", "barcode_digest", "ticket_id")
    event_with: ClassVar[tuple[str, ...]] = ("barcode", "barcode_digest")

    ticket_id: bodies.TicketId | None = None
    barcode: bodies.Barcode | None = None
    """What was scanned; the API replaces it by its digest."""
    barcode_digest: bodies.BarcodeDigest | None = None
    gate: bodies.Name = ""
    device: bodies.Name = ""

    def fields(self) -> dict[str, Any]:
        """Return the fields in the form that Admit takes."""
        code = bytes.fromhex(self.barcode_digest or "")
        return {"gate": self.gate, "device": self.device, "code": code}


KIND = Kind(
    name="admit",
    command=Admit,
    rule=rule,
    capability="gate",
    subject="unknown code",
    check=check,
    shown=shown,
    with_code=with_code,
    rest=Rest(
        AdmitBody,
        "Admitted",
        "Admit with one scan, by code or by id: ISSUED or VALIDATED becomes CONSUMED.",
        example={"event": "fest", "barcode": "4ab7x2k9", "gate": "north", "nonce": "scan-0001"},
        full=True,
    ),
    told=True,
    verb="admitted",
    acts=(
        Act(
            name="admit",
            past="admitted",
            consequence="The guest comes in: every gate refuses the ticket from then on, "
            "and nothing takes that back.",
        ),
    ),
    event_type="ticket_consumed",
)
