"""Reads JSON bodies, which are Structs; an error names the field. Types of fields that no operation uses."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from dtvn.api.errors import InvalidRequest
from dtvn.api.ordering import Request
from dtvn.machine import reasons
from dtvn.machine.bodies import COMPOSED, Body, NonceBody, OperationBody
from dtvn.machine.fields import NONCE_BYTES_MAX
from dtvn.machine.kinds import KINDS
from dtvn.node.keys import PEER_ID_LENGTH_MAX

_PEER_ID = "12D3KooW[1-9A-HJ-NP-Za-km-z]{44}"
"""A peer id of an Ed25519 key: see node.keys.peer_id. Only for the API document."""

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
Number = Annotated[int, Meta(description="a number")]
Flag = Annotated[bool, Meta(description="true or false")]

_FIELD = re.compile(r"`(?:\$\.)?(\w+)[^`]*`$")
_decoder = msgspec.json.Decoder()


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


def nonce_of(body: NonceBody, header: str | None) -> bytes:
    """The nonce of a call: the body's field, or header Idempotency-Key (as Latin-1); both must agree. b"" if
    there is neither (R13)."""
    field = None
    if body.nonce is not None:
        field = _nonce("nonce", body.nonce.encode("utf-8", "surrogatepass"))
    if header is None:
        return field or b""
    # The server decodes header bytes as Latin-1: encoding restores them as they were sent.
    given = _nonce("Idempotency-Key", header.encode("latin-1", "replace"))
    if field not in (None, given):
        raise InvalidRequest("nonce and Idempotency-Key differ")
    return given


def request_of(kind: str, body: OperationBody, header: str | None = None) -> Request:
    """The operation that a body and an Idempotency-Key describe."""
    command = KINDS[kind].command(**body.fields())
    return Request(
        command, ticket=getattr(body, "ticket_id", ""), event=body.event, nonce=nonce_of(body, header)
    )


def _nonce(name: str, nonce: bytes) -> bytes:
    if not 1 <= len(nonce) <= NONCE_BYTES_MAX:
        raise InvalidRequest(f"{name} must have 1 to {NONCE_BYTES_MAX} bytes")
    return nonce
