"""issue: a ticket is created."""

from __future__ import annotations

import itertools
import unicodedata
from typing import Annotated, Any

import msgspec

from dtvn.machine import bodies, reasons
from dtvn.machine.codes import code_digest
from dtvn.machine.context import Context, present_state
from dtvn.machine.fields import (
    DATA_BYTES_MAX,
    METADATA_KEY_LENGTH_MAX,
    METADATA_MAX,
    MICROSECONDS,
    CommandError,
    is_text,
)
from dtvn.machine.kinds.kind import Kind, Rest, Result
from dtvn.machine.kinds.terms_changes import told
from dtvn.machine.registry import TICKETS_MAX
from dtvn.machine.terms import FirstTerms, Persons, check_codes, terms_bytes
from dtvn.machine.ticket import Ticket, read_terms
from dtvn.machine.transitions import State
from dtvn.protocol.consensus.messages import Operation


class Issue(FirstTerms, frozen=True):
    """Create a ticket with these terms."""

    entries: Persons = 1
    """How many persons it admits."""


class IssueBody(bodies.TicketBody, frozen=True, kw_only=True):
    """Body of POST /tickets."""

    not_before: bodies.Seconds = 0
    not_after: Annotated[
        bodies.Seconds,
        msgspec.Meta(
            extra_json_schema={
                "description": "Unix seconds, that second included, not before `not_before`; 0: unbounded"
            }
        ),
    ] = 0
    product: bodies.Label = ""
    seat: bodies.Label = ""
    barcodes: bodies.Barcodes | None = None
    """Codes as they are printed; the API replaces them by their digests."""
    barcode_digests: bodies.BarcodeDigests | None = None
    blocked: bodies.Flag = False
    block_reason: bodies.Reason = ""
    entries: bodies.Persons = 1
    commitment: bodies.Digest = ""
    data: Annotated[
        bytes,
        msgspec.Meta(
            max_length=DATA_BYTES_MAX,
            description=f"standard base64 of at most {DATA_BYTES_MAX} bytes",
            extra_json_schema=bodies.BASE64,
        ),
    ] = b""
    metadata: Annotated[
        dict[str, bodies.MetadataValue],
        msgspec.Meta(
            max_length=METADATA_MAX,
            description=f"an object of strings, at most {METADATA_MAX}",
            extra_json_schema={
                "propertyNames": {
                    "minLength": 1,
                    "maxLength": METADATA_KEY_LENGTH_MAX,
                    "pattern": bodies.PRINTABLE,
                },
            },
        ),
    ] = {}

    def fields(self) -> dict[str, Any]:
        """Return the fields in the form that Issue takes."""
        fields = super().fields()
        del fields["barcodes"]
        return fields | {
            "not_before": self.not_before * MICROSECONDS,
            "not_after": bodies.window_end(self.not_after),
            "codes": tuple(map(bytes.fromhex, fields.pop("barcode_digests") or ())),
            "commitment": bytes.fromhex(self.commitment),
            "metadata": tuple(sorted(self.metadata.items())),
        }


def check(issue: Issue) -> None:
    """Window, commitment, metadata, codes and block."""
    if issue.commitment and len(issue.commitment) != 32:
        raise CommandError("commitment: 32 bytes or none")
    if issue.not_after and issue.not_after < issue.not_before:
        raise CommandError("not_after: lies before not_before")
    keys = [key for key, _ in issue.metadata]
    if any(left >= right for left, right in itertools.pairwise(keys)):
        raise CommandError("metadata: keys must ascend, each once")
    if not all(is_text(text) for pair in issue.metadata for text in pair):
        raise CommandError("metadata: holds a control character")
    check_codes(issue.codes)
    if issue.block_reason and not issue.blocked:
        raise CommandError("block_reason: of a ticket that is not blocked")


def compose(issue: Issue) -> dict[str, object]:
    """Metadata in normal form C, sorted."""
    pairs = (tuple(unicodedata.normalize("NFC", text) for text in pair) for pair in issue.metadata)
    return {"metadata": tuple(sorted(pairs))}


def shown(at: Context, operation: Operation, command: Issue, ticket: Ticket | None) -> bytes:
    """The ticket's state, and its terms if the command says more than the first form, or the event was
    created."""
    return _told(at, operation, command, ticket)


def rule(at: Context, operation: Operation, command: Issue, ticket: Ticket | None) -> Result:
    """Create the ticket, unless one has its name or one of its codes."""
    issued = terms_bytes(command) if command.entries > 1 else operation.payload or terms_bytes(command)
    event, coded = operation.event, bool(command.codes)
    if ticket is not None:
        code = _repeated(at, operation, ticket, command, issued)
        return code, _told(at, operation, command, ticket)
    if any(at.registry.by_code(event, code) for code in command.codes) or _opens_another(at, operation):
        return reasons.BARCODE_TAKEN, b""
    if len(at.registry) >= TICKETS_MAX or at.events.full(event, command.product, coded=coded):
        return reasons.FULL, b""
    at.count(operation)
    state = at.state(operation, operation.ticket, State.ISSUED)
    made = at.registry.create(event, operation.ticket, state, issued, command)
    added = at.events.add(event, command.product, at.moment, coded=coded)
    return reasons.OK, _told(at, operation, command, made, product_added=added)


def _opens_another(at: Context, operation: Operation) -> bool:
    """Whether the id is a code too, and that of another ticket. An event without a row has no codes."""
    event = operation.event
    if not at.events.ids_are_codes(event) or at.events.row(event) is None:
        return False
    return at.registry.by_code(event, code_digest(at.events.salt(event), operation.ticket)) is not None


def _told(
    at: Context, operation: Operation, command: Issue, ticket: Ticket | None, *, product_added: bool = False
) -> bytes:
    later = command.codes or command.blocked or command.entries > 1
    if not later and not at.events.declared(operation.event):
        return b"" if ticket is None else ticket.state
    return told(at, operation.event, ticket, product_added=product_added)


def _repeated(at: Context, operation: Operation, ticket: Ticket, command: Issue, issued: bytes) -> str:
    """The outcome of an issue whose ticket exists: `ok` for a late retry of it (R13)."""
    if not at.stands(operation, ticket):
        return reasons.TICKET_EXISTS
    if present_state(ticket).operation != "issue":
        return reasons.NONCE_REUSED
    terms = read_terms(ticket.issued)
    same = ticket.issued == issued or (
        terms.changed
        and (terms.commitment, terms.data, terms.metadata, terms.entries)
        == (command.commitment, command.data, command.metadata, command.entries)
        and {*command.codes} <= {*terms.codes, *terms.revoked}
    )
    return reasons.OK if same else reasons.NONCE_REUSED


KIND = Kind(
    name="issue",
    command=Issue,
    rule=rule,
    capability="issue",
    check=check,
    compose=compose,
    shown=shown,
    rest=Rest(
        IssueBody,
        "Ticket issued",
        "Issue a ticket. A product that its event does not list is added as an entrance; the answer says so.",
        example={"ticket_id": "T-1", "event": "default"},
        path="tickets",
    ),
    verb="issued",
    event_type="ticket_issued",
    plain=False,
)
