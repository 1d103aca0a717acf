"""JSON bodies as Structs, the one source of their shapes; an error names the field (spec 1.4, 1.5).

The description of a field says what it must be, in the API document and in the error. Unknown fields are
ignored, and null counts as absent.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import msgspec
from msgspec import Meta

from dtvn.api.errors import InvalidRequest
from dtvn.api.ordering import Request
from dtvn.machine import reasons
from dtvn.machine.commands import (
    COMMANDS,
    DATA_BYTES_MAX,
    DEFAULT_EVENT,
    NONCE_BYTES_MAX,
    VALIDATION_DATA_BYTES_MAX,
)

__all__ = [
    "OPERATIONS",
    "Flag",
    "Nonce",
    "Number",
    "OperationBody",
    "Text",
    "convert",
    "nonce_of",
    "read_body",
    "operation_of",
    "read_members",
    "read_operation",
]

MICROSECONDS = 1_000_000
SECONDS_MAX = 2**63 // MICROSECONDS - 1

Shape = TypeVar("Shape", bound=msgspec.Struct)

Text = Annotated[str, Meta(description="a string")]
Number = Annotated[int, Meta(description="a number")]
Flag = Annotated[bool, Meta(description="true or false")]
Nonce = Annotated[str | None, Meta(description="a string")]
Seconds = Annotated[int, Meta(ge=0, le=SECONDS_MAX, description="a number of Unix seconds")]
# The length besides: $ also matches before a line feed at the end.
Digest = Annotated[str, Meta(pattern="^([0-9A-Fa-f]{64})?$", max_length=64, description="64 hex digits")]

_FIELD = re.compile(r"`(?:\$\.)?(\w+)[^`]*`$")
_decoder = msgspec.json.Decoder()


class OperationBody(msgspec.Struct, frozen=True, kw_only=True):
    """What every operation's body may have; that of a seed has no more."""

    ticket_id: Text = ""
    event: Text = DEFAULT_EVENT
    nonce: Nonce = None

    def fields(self) -> dict[str, Any]:
        """The fields of the operation's own command."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name not in SHARED}


SHARED = frozenset(OperationBody.__struct_fields__)


class IssueBody(OperationBody, frozen=True, kw_only=True):
    """Of POST /tickets."""

    not_before: Seconds = 0
    not_after: Seconds = 0
    product: Text = ""
    seat: Text = ""
    commitment: Digest = ""
    data: Annotated[
        bytes,
        Meta(max_length=DATA_BYTES_MAX, description=f"standard base64 of at most {DATA_BYTES_MAX} bytes"),
    ] = b""
    metadata: Annotated[dict[str, str], Meta(description="an object of strings")] = {}

    def fields(self) -> dict[str, Any]:
        """As Issue takes them."""
        return super().fields() | {
            "not_before": self.not_before * MICROSECONDS,
            "not_after": self.not_after * MICROSECONDS,
            "commitment": bytes.fromhex(self.commitment),
            "metadata": tuple(sorted(self.metadata.items())),
        }


class ValidateBody(OperationBody, frozen=True, kw_only=True):
    """Of /tickets/validate."""

    data: Annotated[
        bytes,
        Meta(
            max_length=VALIDATION_DATA_BYTES_MAX,
            description=f"standard base64 of at most {VALIDATION_DATA_BYTES_MAX} bytes",
        ),
    ] = b""


class GateBody(OperationBody, frozen=True, kw_only=True):
    """Of /tickets/consume and /tickets/admit."""

    gate: Text = ""
    device: Text = ""


class DisputeBody(OperationBody, frozen=True, kw_only=True):
    """Of /tickets/dispute."""

    reason: Text = ""


class ResolveBody(OperationBody, frozen=True, kw_only=True):
    """Of /tickets/resolve."""

    verdict: Annotated[Literal["clear", "uphold"], Meta(description='"clear" or "uphold"')]


OPERATIONS: dict[str, type[OperationBody]] = {
    "issue": IssueBody,
    "seed": OperationBody,
    "validate": ValidateBody,
    "consume": GateBody,
    "admit": GateBody,
    "dispute": DisputeBody,
    "resolve": ResolveBody,
}
"""Body by kind of operation."""


def read_members(body: bytes, *, may_be_empty: bool = False) -> dict[str, Any]:
    """The members of the object in a body that are not null; `null` is an object without members, as clients
    of the seed send it."""
    if may_be_empty and not body.strip():
        return {}
    try:
        value = _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidRequest("Invalid request body") from error
    if not (value is None or isinstance(value, dict)):
        raise InvalidRequest("Invalid request body: an object is needed")
    return value or {}


def convert(members: dict[str, Any], shape: type[Shape]) -> Shape:
    """The Struct of these members; raise InvalidRequest naming the field that is wrong."""
    present = {name: value for name, value in members.items() if value is not None}
    try:
        return msgspec.convert(present, shape)
    except msgspec.ValidationError as error:
        found = _FIELD.search(str(error))
        name = found[1] if found else "body"
        rule = getattr(get_type_hints(shape, include_extras=True).get(name), "__metadata__", ())
        raise InvalidRequest(f"{name} must be {rule[0].description if rule else 'an object'}") from error


def read_body(body: bytes, shape: type[Shape], *, may_be_empty: bool = False) -> Shape:
    """The Struct that a body holds; raises as `read_members` and `convert` do."""
    return convert(read_members(body, may_be_empty=may_be_empty), shape)


def nonce_of(named: str | None, header: str | None = None) -> bytes:
    """The nonce of a call: field `nonce` or header Idempotency-Key (as Latin-1); both must agree. b"" if
    there is neither (R13)."""
    field = None if named is None else _nonce("nonce", named.encode("utf-8", "surrogatepass"))
    if header is None:
        return field or b""
    # The server decodes header bytes as Latin-1: encoding restores them as they were sent.
    given = _nonce("Idempotency-Key", header.encode("latin-1", "replace"))
    if field not in (None, given):
        raise InvalidRequest("nonce and Idempotency-Key differ")
    return given


def read_operation(kind: str, body: bytes, key: str | None = None) -> Request:
    """The operation that a body and an Idempotency-Key describe. A seed needs no body (spec 1.2): for it, an
    unreadable one counts as empty."""
    try:
        members = read_members(body)
    except InvalidRequest:
        if kind != "seed":
            raise
        members = {}
    return operation_of(kind, members, key)


def operation_of(kind: str, members: dict[str, Any], key: str | None = None) -> Request:
    """The same from the members of a body."""
    body = convert(members, OPERATIONS[kind])
    nonce = nonce_of(body.nonce, key)
    if kind != "seed" and not body.ticket_id:
        raise InvalidRequest("ticket_id is required", reasons.TICKET_ID_REQUIRED)
    ticket = "" if kind == "seed" else body.ticket_id
    return Request(COMMANDS[kind](**body.fields()), ticket=ticket, event=body.event, nonce=nonce)


def _nonce(name: str, nonce: bytes) -> bytes:
    if not 1 <= len(nonce) <= NONCE_BYTES_MAX:
        raise InvalidRequest(f"{name} must have 1 to {NONCE_BYTES_MAX} bytes")
    return nonce
