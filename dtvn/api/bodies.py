"""JSON bodies as Structs, the one source of their shapes; an error names the field.

The description of a field says what it must be, in the API document and in the error. Unknown fields are
ignored, and null counts as absent.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from dtvn.api.errors import InvalidRequest
from dtvn.api.ordering import Request
from dtvn.api.times import SECONDS_MAX
from dtvn.machine import reasons
from dtvn.machine.contract import MICROSECONDS
from dtvn.machine.fields import (
    DATA_BYTES_MAX,
    DEFAULT_EVENT,
    LABEL_LENGTH_MAX,
    METADATA_KEY_LENGTH_MAX,
    METADATA_MAX,
    METADATA_VALUE_LENGTH_MAX,
    NAME_LENGTH_MAX,
    NONCE_BYTES_MAX,
    REASON_LENGTH_MAX,
    TICKET_NAME,
    VALIDATION_DATA_BYTES_MAX,
)
from dtvn.machine.kinds import KINDS
from dtvn.node.keys import PEER_ID_LENGTH_MAX
from dtvn.protocol.genesis import EVENT_NAME

COMPOSED = {"form": "NFC"}
"""Mark of texts that are composed (NFC) before their length is checked, because the log keeps them so."""
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""Pattern of a text without control characters."""
BASE64 = {"pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"}
"""Only for the API document; the decoder enforces it."""

_PEER_ID = "12D3KooW[1-9A-HJ-NP-Za-km-z]{44}"
"""A peer id of an Ed25519 key: see node.keys.peer_id. Only for the API document."""

Text = Annotated[str, Meta(description="a string")]
PeerId = Annotated[
    str,
    Meta(
        max_length=PEER_ID_LENGTH_MAX,
        description=f"a peer id, a string of at most {PEER_ID_LENGTH_MAX} characters",
        extra_json_schema={"pattern": f"^({_PEER_ID})?$"},
    ),
]
NewPeerId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=PEER_ID_LENGTH_MAX,
        description=f"a peer id, the new public key as printed on its holder's host; a string of at most "
        f"{PEER_ID_LENGTH_MAX} characters",
        extra_json_schema={"pattern": f"^{_PEER_ID}$"},
    ),
]
TicketId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=TICKET_NAME,
        description="a string of 1 to 128 characters of A-Z a-z 0-9 . _ : -, a letter or digit first",
    ),
]
EventName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=EVENT_NAME,
        description="a string of 1 to 64 characters of A-Z a-z 0-9 . _ : -, a letter or digit first",
    ),
]
Nonce = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=NONCE_BYTES_MAX,
        description=f"a string of 1 to {NONCE_BYTES_MAX} bytes of UTF-8",
    ),
]
Name = Annotated[
    str,
    Meta(
        max_length=NAME_LENGTH_MAX,
        pattern=PRINTABLE,
        description=f"a string of at most {NAME_LENGTH_MAX} characters without control characters",
        extra=COMPOSED,
    ),
]
Label = Annotated[
    str,
    Meta(
        max_length=LABEL_LENGTH_MAX,
        pattern=PRINTABLE,
        description=f"a string of at most {LABEL_LENGTH_MAX} characters without control characters",
        extra=COMPOSED,
    ),
]
Reason = Annotated[
    str,
    Meta(
        max_length=REASON_LENGTH_MAX,
        pattern=PRINTABLE,
        description=f"a string of at most {REASON_LENGTH_MAX} characters without control characters",
        extra=COMPOSED,
    ),
]
MetadataValue = Annotated[
    str, Meta(extra_json_schema={"maxLength": METADATA_VALUE_LENGTH_MAX, "pattern": PRINTABLE})
]
"""Only for the API document; the ticket machine enforces the limits, after Unicode composition."""
Number = Annotated[int, Meta(description="a number")]
Flag = Annotated[bool, Meta(description="true or false")]
Seconds = Annotated[
    int,
    Meta(ge=0, le=SECONDS_MAX, description=f"a number of Unix seconds, at most {SECONDS_MAX} (year 9999)"),
]
# The length besides: $ also matches before a line feed at the end.
Digest = Annotated[str, Meta(pattern="^([0-9A-Fa-f]{64})?$", max_length=64, description="64 hex digits")]

_FIELD = re.compile(r"`(?:\$\.)?(\w+)[^`]*`$")
_decoder = msgspec.json.Decoder()


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all bodies."""

    may_be_empty: ClassVar[bool] = False
    """Whether the call needs no body at all."""
    may_be_unreadable: ClassVar[bool] = False
    """Whether a body that is no JSON object counts as an empty one."""
    further: ClassVar[dict[str, Any]] = {}
    """Members that the handler reads besides the fields: name -> JSON Schema."""

    @property
    def recorded(self) -> str:
        """Text for the audit of this call, besides its path."""
        return ""


class NonceBody(Body, frozen=True, kw_only=True):
    """Body of a call that may be repeated (R13)."""

    nonce: Nonce | None = None

    def nonce_or(self, header: str | None) -> bytes:
        """The nonce of the call: the field, or header Idempotency-Key (as Latin-1); both must agree. b"" if
        there is neither (R13)."""
        field = None
        if self.nonce is not None:
            field = _nonce("nonce", self.nonce.encode("utf-8", "surrogatepass"))
        if header is None:
            return field or b""
        # The server decodes header bytes as Latin-1: encoding restores them as they were sent.
        given = _nonce("Idempotency-Key", header.encode("latin-1", "replace"))
        if field not in (None, given):
            raise InvalidRequest("nonce and Idempotency-Key differ")
        return given


class SeedBody(NonceBody, frozen=True, kw_only=True):
    """Body of /tickets/seed, which may be empty."""

    event: EventName = DEFAULT_EVENT
    may_be_unreadable: ClassVar[bool] = True

    def fields(self) -> dict[str, Any]:
        """Arguments of the operation's command: the fields that are not in SHARED."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name not in SHARED}

    def request(self, kind: str, header: str | None = None) -> Request:
        """The operation that this body and an Idempotency-Key describe."""
        command, nonce = KINDS[kind].command(**self.fields()), self.nonce_or(header)
        return Request(command, ticket=getattr(self, "ticket_id", ""), event=self.event, nonce=nonce)


class TicketBody(SeedBody, frozen=True, kw_only=True):
    """Fields in the body of every operation on a ticket."""

    ticket_id: TicketId
    may_be_unreadable: ClassVar[bool] = False


SHARED = frozenset(TicketBody.__struct_fields__)


class IssueBody(TicketBody, frozen=True, kw_only=True):
    """Body of POST /tickets."""

    not_before: Seconds = 0
    not_after: Annotated[
        Seconds,
        Meta(
            extra_json_schema={
                "description": "Unix seconds, that second included, not before `not_before`; 0: unbounded"
            }
        ),
    ] = 0
    product: Label = ""
    seat: Label = ""
    commitment: Digest = ""
    data: Annotated[
        bytes,
        Meta(
            max_length=DATA_BYTES_MAX,
            description=f"standard base64 of at most {DATA_BYTES_MAX} bytes",
            extra_json_schema=BASE64,
        ),
    ] = b""
    metadata: Annotated[
        dict[str, MetadataValue],
        Meta(
            max_length=METADATA_MAX,
            description=f"an object of strings, at most {METADATA_MAX}",
            extra_json_schema={
                "propertyNames": {
                    "minLength": 1,
                    "maxLength": METADATA_KEY_LENGTH_MAX,
                    "pattern": PRINTABLE,
                },
            },
        ),
    ] = {}

    def fields(self) -> dict[str, Any]:
        """Return the fields in the form that Issue takes."""
        return super().fields() | {
            "not_before": self.not_before * MICROSECONDS,
            # Through its whole second: "until 23:59:59" ends with the day.
            "not_after": self.not_after and (self.not_after + 1) * MICROSECONDS - 1,
            "commitment": bytes.fromhex(self.commitment),
            "metadata": tuple(sorted(self.metadata.items())),
        }


class ValidateBody(TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/validate."""

    data: (
        Annotated[
            bytes,
            Meta(
                max_length=VALIDATION_DATA_BYTES_MAX,
                description=f"standard base64 of at most {VALIDATION_DATA_BYTES_MAX} bytes",
                extra_json_schema=BASE64,
            ),
        ]
        | None
    ) = b""


class GateBody(TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/consume and /tickets/admit."""

    gate: Name = ""
    device: Name = ""


class DisputeBody(TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/dispute."""

    reason: Reason = ""


class ResolveBody(TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/resolve."""

    verdict: Annotated[Literal["clear", "uphold"], Meta(description='"clear" or "uphold"')]


OPERATIONS: dict[str, type[SeedBody]] = {
    "issue": IssueBody,
    "seed": SeedBody,
    "validate": ValidateBody,
    "consume": GateBody,
    "admit": GateBody,
    "dispute": DisputeBody,
    "resolve": ResolveBody,
}
"""Body by kind of operation."""

Shape = TypeVar("Shape", bound=msgspec.Struct)
BodyShape = TypeVar("BodyShape", bound=Body)


def read_body(content: bytes, shape: type[BodyShape], event: str = "") -> BodyShape:
    """Decodes a body; raises InvalidRequest naming the wrong field. `null` counts as an object without
    members, as clients of the Go DTVN send it. `event`: for a body that names none, "" for the default."""
    if shape.may_be_empty and not content.strip():
        return shape()
    value: Any = None
    try:
        value = _decoder.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if not shape.may_be_unreadable:
            raise InvalidRequest("Invalid request body") from error
    if not (value is None or isinstance(value, dict)):
        if not shape.may_be_unreadable:
            raise InvalidRequest("Invalid request body: an object is needed")
        value = None
    return convert(with_event(value or {}, event), shape)


def with_event(members: dict[str, Any], event: str) -> dict[str, Any]:
    """The members, with `event` added if they name none and it is not ""."""
    return members | {"event": event} if event and members.get("event") is None else members


def convert(members: dict[str, Any], shape: type[Shape]) -> Shape:
    """The Struct of these members, texts composed; raises InvalidRequest naming the wrong field."""
    present = members
    if None in members.values():
        present = {name: value for name, value in members.items() if value is not None}
    for name in _composed(shape) & present.keys():
        text = present[name]
        if isinstance(text, str) and not text.isascii():
            present = present | {name: unicodedata.normalize("NFC", text)}
    try:
        made = msgspec.convert(present, shape)
        for name, text in present.items():
            if isinstance(text, str) and text.endswith("\n") and name in _patterned(shape):
                raise msgspec.ValidationError(f"`$.{name}`")  # "$" also matches before a last line feed
        return made
    except msgspec.ValidationError as error:
        found = _FIELD.search(str(error))
        name = found[1] if found else "body"
        rule = _rules(shape).get(name, Meta(description="an object"))
        if rule.min_length and present.get(name, "") == "" and name in _required(shape):
            code = reasons.TICKET_ID_REQUIRED if name == "ticket_id" else reasons.BAD_REQUEST
            raise InvalidRequest(f"{name} is required", code) from error
        raise InvalidRequest(f"{name} must be {rule.description}") from error


@cache
def _rules(shape: type[msgspec.Struct]) -> dict[str, Meta]:
    """Field -> limits and description of its type; for a union with None, those of the other type."""
    return {
        name: each.__metadata__[0]
        for name, hint in get_type_hints(shape, include_extras=True).items()
        for each in (hint, *get_args(hint))
        if hasattr(each, "__metadata__")
    }


@cache
def _composed(shape: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(name for name, rule in _rules(shape).items() if rule.extra == COMPOSED)


@cache
def _patterned(shape: type[msgspec.Struct]) -> frozenset[str]:
    """Names of the fields that have a pattern."""
    return frozenset(name for name, rule in _rules(shape).items() if rule.pattern)


@cache
def _required(shape: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(field.name for field in msgspec.structs.fields(shape) if field.required)


def _nonce(name: str, nonce: bytes) -> bytes:
    if not 1 <= len(nonce) <= NONCE_BYTES_MAX:
        raise InvalidRequest(f"{name} must have 1 to {NONCE_BYTES_MAX} bytes")
    return nonce
