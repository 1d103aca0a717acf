"""Reads JSON bodies, which are Structs; an error names the field. Types of fields that no operation uses."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Annotated, Any, Protocol, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from dtvn.api.errors import InvalidRequest
from dtvn.api.ordering import Request
from dtvn.machine import reasons
from dtvn.machine.bodies import COMPOSED, Body, NonceBody, OperationBody
from dtvn.machine.codes import CodeError
from dtvn.machine.commands import code_of
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
        given = [name for name in getattr(shape, "event_with", ()) if name in present]
        if given and "event" not in present:
            raise InvalidRequest(f"event is required with {given[0]}")
        for name, text in present.items():
            if isinstance(text, str) and text.endswith("\n") and name in _patterned(shape):
                raise msgspec.ValidationError(f"`$.{name}`")  # "$" also matches before a last line feed
        return made
    except msgspec.ValidationError as error:
        found = _FIELD.search(str(error))
        name = found[1] if found else "body"
        rule = _rules(shape).get(name, Meta(description="an object"))
        asked = _required(shape) | {*getattr(shape, "one_of", ())}
        if rule.min_length and present.get(name, "") == "" and name in asked:
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


class Coder(Protocol):
    """Knows the codes of events: a platform, not a node's own API."""

    def scanned(self, event: str, text: str) -> str:
        """The code in what a scanner read, mostly the text itself; raises machine.codes.CodeError."""

    def digest(self, event: str, text: str) -> bytes:
        """The digest of a code; raises machine.codes.CodeError."""

    def name(self, event: str, text: str, digest: bytes) -> str:
        """The ticket that an admission by this code names besides, "" for none."""


def request_of(
    kind: str, body: OperationBody, header: str | None = None, coder: Coder | None = None
) -> Request:
    """The operation that a body and an Idempotency-Key describe. `coder`: without one, only digests of codes
    are taken."""
    if body.one_of and sum(getattr(body, name) is not None for name in body.one_of) != 1:
        _refuse_choice(body)
    texts = _texts(body)
    body = _with_digests(body, coder)
    ticket = getattr(body, "ticket_id", None) or ""
    command = KINDS[kind].command(**body.fields())
    if texts and coder is not None and (code := code_of(command)):
        ticket = coder.name(body.event, texts[0], code)
    return Request(command, ticket, body.event, nonce_of(body, header), texts)


def _texts(body: OperationBody) -> tuple[str, ...]:
    one: str | None = getattr(body, "barcode", None)
    return tuple(getattr(body, "barcodes", None) or ()) if one is None else (one,)


def _refuse_choice(body: OperationBody) -> None:
    given = [name for name in body.one_of if getattr(body, name) is not None]
    *names, last = body.one_of
    if given:
        raise InvalidRequest(f"only one of {', '.join(names)} and {last} may be given")
    code = reasons.TICKET_ID_REQUIRED if last == "ticket_id" else reasons.BAD_REQUEST
    raise InvalidRequest(f"{', '.join(names)} or {last} is required", code)


def _with_digests(body: OperationBody, coder: Coder | None) -> OperationBody:
    """The body with digests in place of the texts of its codes."""
    for name in ("barcode", "barcodes"):
        given = getattr(body, name, None)
        if given is None:
            continue
        wanted = name.replace("barcode", "barcode_digest")
        if coder is None:
            raise InvalidRequest(f"{name}: a node takes no codes as they are printed; give {wanted}")
        if getattr(body, wanted) is not None:
            raise InvalidRequest(f"only one of {name} and {wanted} may be given")
        try:
            texts = given if name == "barcodes" else [coder.scanned(body.event, given)]
            digests = [coder.digest(body.event, text).hex() for text in texts]
        except CodeError as error:
            raise InvalidRequest(f"{name}: {error}") from error
        found = digests if name == "barcodes" else digests[0]
        body = msgspec.structs.replace(body, **{name: None, wanted: found})
    return body


def _nonce(name: str, nonce: bytes) -> bytes:
    if not 1 <= len(nonce) <= NONCE_BYTES_MAX:
        raise InvalidRequest(f"{name} must have 1 to {NONCE_BYTES_MAX} bytes")
    return nonce
