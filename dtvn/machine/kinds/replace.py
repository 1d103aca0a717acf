"""replace: a ticket gets new codes; the old ones are revoked (D5)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from dtvn.machine import bodies, reasons
from dtvn.machine.codes import CODES_MAX, VALID_MAX
from dtvn.machine.context import Context
from dtvn.machine.fields import Command, Digest
from dtvn.machine.kinds.kind import Act, Kind, Rest, Result
from dtvn.machine.kinds.terms_changes import amend, shown, told
from dtvn.machine.terms import check_codes
from dtvn.machine.ticket import Ticket, read_terms
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.versions import LISTS


class Replace(Command, frozen=True):
    """Replace all valid codes of a ticket."""

    codes: Annotated[tuple[Digest, ...], msgspec.Meta(min_length=1, max_length=VALID_MAX)]
    """Digests of the codes that are valid afterwards, each once; some may have been the ticket's before."""


def check(command: Replace) -> None:
    """Each code once."""
    check_codes(command.codes)


def rule(at: Context, operation: Operation, command: Replace, ticket: Ticket | None) -> Result:
    """Replace the codes, if no other ticket of the event has or had one of the new ones."""
    if ticket is None:
        return reasons.TICKET_NOT_FOUND, b""
    if any(at.registry.by_code(operation.event, code) not in (None, ticket) for code in command.codes):
        return reasons.BARCODE_TAKEN, told(at, operation.event, ticket)
    terms = read_terms(ticket.issued)
    revoked = tuple(code for code in (*terms.revoked, *terms.codes) if code not in command.codes)
    if len(command.codes) + len(revoked) > CODES_MAX:
        return reasons.TOO_MANY_CODES, told(at, operation.event, ticket)
    replaced = msgspec.structs.replace(terms, codes=command.codes, revoked=revoked)
    return amend(at, operation, ticket, terms, replaced)


class ReplaceBody(bodies.TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/replace."""

    one_of: ClassVar[tuple[str, ...]] = ("barcodes", "barcode_digests")

    barcodes: bodies.Barcodes | None = None
    """Codes as they are printed; the API replaces them by their digests."""
    barcode_digests: bodies.BarcodeDigests | None = None

    def fields(self) -> dict[str, Any]:
        """Return the fields in the form that Replace takes."""
        return {"codes": tuple(map(bytes.fromhex, self.barcode_digests or ()))}


KIND = Kind(
    name="replace",
    command=Replace,
    rule=rule,
    since=LISTS,
    capability="operate",
    check=check,
    shown=shown,
    rest=Rest(
        ReplaceBody,
        "Codes replaced",
        "Give a ticket new codes; the old ones are revoked.",
        example={"ticket_id": "T-1", "barcodes": ["9k2x7ba4"]},
        full=True,
    ),
    told=True,
    verb="code replaced",
    acts=(
        Act(
            name="replace",
            past="given new codes",
            means="its old ones open nothing",
            label="Replace code",
            consequence="Its present codes are revoked: a guest who shows one of them is refused.",
            inputs=("barcodes",),
        ),
    ),
    event_type="ticket_replaced",
)
