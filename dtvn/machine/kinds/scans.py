"""What the kinds share that a gate asks for with a scan: admit, annul and force."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Protocol

import msgspec

from dtvn.machine import bodies
from dtvn.machine.codes import DIGEST_SIZE
from dtvn.machine.context import Context
from dtvn.machine.fields import REASON_LENGTH_MAX, CommandError, Name, whole
from dtvn.machine.kinds.terms_changes import told
from dtvn.machine.lists import LIST_NAME, MAIN_SLUG
from dtvn.machine.order_of_reasons import Asked, find
from dtvn.protocol.consensus.messages import Operation

ListName = Annotated[str, msgspec.Meta(pattern=whole(f"^({LIST_NAME[1:-1]})?$"), max_length=64)]
Code = Annotated[bytes, msgspec.Meta(max_length=DIGEST_SIZE)]
Reason = Annotated[str, msgspec.Meta(max_length=REASON_LENGTH_MAX)]


class Scan(Protocol):
    """A command of such a kind, whose payload begins with gate, device and code."""

    @property
    def gate(self) -> Name: ...
    @property
    def device(self) -> Name: ...
    @property
    def code(self) -> bytes | None: ...
    @property
    def list(self) -> str: ...


def check_scan(command: Scan) -> None:
    """Raises CommandError for a wrong code, or for `main` by its name: each value has one form."""
    if command.code and len(command.code) != DIGEST_SIZE:
        raise CommandError(f"code: {DIGEST_SIZE} bytes or none")
    if command.list == MAIN_SLUG:
        raise CommandError(f"list: {MAIN_SLUG} is left out")


def composed(command: Scan) -> dict[str, object]:
    """The list as the log keeps it."""
    return {"list": ""} if command.list == MAIN_SLUG else {}


def with_code(command: Any, digest: bytes) -> Any:
    """See Kind.with_code."""
    return msgspec.structs.replace(command, code=digest)


def shown_scan(at: Context, operation: Operation, command: Scan, code: bytes, kind: str) -> bytes:
    """See Kind.shown: the ticket that the scan finds, and what it did on the list."""
    event = operation.event
    listed = at.events.list_of(event, command.list or MAIN_SLUG)
    return told(at, event, find(at, operation, code), listed, kind if listed else "")


def told_scan(asked: Asked) -> bytes:
    """The answer to a scan that was judged, as the ticket stands now."""
    kind = asked.kind if asked.listed else ""
    return told(asked.at, asked.operation.event, asked.found, asked.listed, kind)


class ScanBody(bodies.OperationBody, frozen=True, kw_only=True):
    """Fields in the body of each of them."""

    one_of: ClassVar[tuple[str, ...]] = ("barcode", "barcode_digest", "ticket_id")
    event_with: ClassVar[tuple[str, ...]] = ("barcode", "barcode_digest")

    ticket_id: bodies.TicketId | None = None
    barcode: bodies.Barcode | None = None
    """What was scanned; the API replaces it by its digest."""
    barcode_digest: bodies.BarcodeDigest | None = None
    list: bodies.ListName = MAIN_SLUG
    gate: bodies.Name = ""
    device: bodies.Name = ""

    def fields(self) -> dict[str, Any]:
        """Return the fields in the form that the command takes."""
        left_out = {"ticket_id", "barcode", "barcode_digest"}
        said = {name: value for name, value in super().fields().items() if name not in left_out}
        slug = "" if self.list == MAIN_SLUG else self.list
        return said | {"code": bytes.fromhex(self.barcode_digest or ""), "list": slug}
