"""Parses JSON bodies field by field, with an error that names the field (spec 1.4, 1.5)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from dtvn.machine import Admit, Command, Consume, Dispute, Issue, Resolve, Seed, Validate, reasons
from dtvn.machine.commands import DATA_BYTES_MAX, DEFAULT_EVENT, NONCE_BYTES_MAX, VALIDATION_DATA_BYTES_MAX
from tickets.services import InvalidRequest, Request

__all__ = ["KINDS", "MESSAGES", "Fields", "fields_of", "nonce_of", "read_fields", "request_of"]

MESSAGES = {
    "issue": "Ticket issued",
    "seed": "Tickets seeded",
    "validate": "Ticket validated successfully",
    "consume": "Ticket consumed successfully",
    "admit": "Admitted",
    "dispute": "Ticket disputed successfully",
    "resolve": "Dispute resolved",
}
"""Message of a successful answer, by kind of operation."""

MICROSECONDS = 1_000_000
DIGEST = re.compile(r"[0-9A-Fa-f]{64}")
SECONDS_MAX = 2**63 // MICROSECONDS - 1

_decoder = msgspec.json.Decoder()


class Fields:
    """The members of a JSON object; unknown ones are ignored."""

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = members

    def text(self, name: str, default: str = "") -> str:
        """A string; null counts as absent."""
        value = self._members.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise InvalidRequest(f"{name} must be a string")
        return value

    def ticket_id(self) -> str:
        """The only field that every operation on a ticket needs."""
        ticket = self.text("ticket_id")
        if not ticket:
            raise InvalidRequest("ticket_id is required", reasons.TICKET_ID_REQUIRED)
        return ticket

    def nonce(self) -> bytes:
        """`nonce`: 1 to 64 bytes of UTF-8; b"" if absent (R13)."""
        value = self._members.get("nonce")
        if value is None:
            return b""
        return check_nonce("nonce", self.text("nonce").encode("utf-8", "surrogatepass"))

    def base64(self, name: str, *, limit: int) -> bytes:
        """Standard base64; b"" if null or absent."""
        text = self.text(name)
        try:
            data = base64.b64decode(text.encode("ascii"), validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidRequest(f"{name} must be standard base64") from error
        if len(data) > limit:
            raise InvalidRequest(f"{name} must be at most {limit} bytes")
        return data

    def digest(self, name: str) -> bytes:
        """32 bytes in hex; b"" if null, absent or "". `bytes.fromhex` alone would accept spaces."""
        text = self.text(name)
        if text and not DIGEST.fullmatch(text):
            raise InvalidRequest(f"{name} must be 64 hex digits")
        return bytes.fromhex(text)

    def number(self, name: str, default: int = 0) -> int:
        """A whole number; null counts as absent."""
        value = self._members.get(name)
        if value is None:
            return default
        if type(value) is not int:
            raise InvalidRequest(f"{name} must be a number")
        return value

    def numbers(self) -> dict[str, int]:
        """All members except the nonce; each must be a whole number."""
        return {name: self.number(name) for name in self._members if name != "nonce"}

    def fields(self, name: str) -> Fields:
        """A nested object."""
        value = self._members.get(name)
        if not isinstance(value, dict):
            raise InvalidRequest(f"{name} must be an object")
        return Fields(value)

    def flag(self, name: str) -> bool:
        """A boolean; False when null or absent."""
        value = self._members.get(name)
        if not (value is None or isinstance(value, bool)):
            raise InvalidRequest(f"{name} must be true or false")
        return bool(value)

    def moment(self, name: str) -> int:
        """Unix seconds, converted to microseconds; 0 if absent."""
        value = self._members.get(name)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= SECONDS_MAX:
            raise InvalidRequest(f"{name} must be a number of Unix seconds")
        return value * MICROSECONDS

    def texts(self, name: str) -> tuple[tuple[str, str], ...]:
        """An object of strings, as pairs sorted by key."""
        value = self._members.get(name)
        if value is None:
            return ()
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise InvalidRequest(f"{name} must be an object of strings")
        return tuple(sorted(value.items()))

    def objects(self, name: str, *, most: int, required: bool = True) -> list[Any]:
        """A list of at most `most` items."""
        value = self._members.get(name)
        if value is None and not required:
            return []
        if not isinstance(value, list):
            raise InvalidRequest(f"{name} must be a list")
        if len(value) > most:
            raise InvalidRequest(f"{name} must hold at most {most} items")
        return value


def read_fields(body: bytes, *, may_be_empty: bool = False) -> Fields:
    """The object in a body; `null` is an object without members, as clients of the seed send it."""
    if may_be_empty and not body.strip():
        return Fields({})
    try:
        value = _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidRequest("Invalid request body") from error
    if value is None:
        return Fields({})
    if not isinstance(value, dict):
        raise InvalidRequest("Invalid request body: an object is needed")
    return Fields(value)


def fields_of(kind: str, body: bytes) -> Fields:
    """The members of an operation's body. A seed needs none (spec 1.2): for it, an unreadable body counts as
    empty."""
    try:
        return read_fields(body)
    except InvalidRequest:
        if kind == "seed":
            return Fields({})
        raise


def check_nonce(name: str, nonce: bytes) -> bytes:
    """Check a nonce's length (R13)."""
    if not 1 <= len(nonce) <= NONCE_BYTES_MAX:
        raise InvalidRequest(f"{name} must have 1 to {NONCE_BYTES_MAX} bytes")
    return nonce


def nonce_of(header: str | None, fields: Fields) -> bytes:
    """The nonce of a single call: header Idempotency-Key (as Latin-1) or field `nonce`; both must agree."""
    named = fields.nonce()
    if header is None:
        return named
    # The server decodes header bytes as Latin-1: encoding restores them as they were sent.
    given = check_nonce("Idempotency-Key", header.encode("latin-1", "replace"))
    if named and named != given:
        raise InvalidRequest("nonce and Idempotency-Key differ")
    return given


def _issue(fields: Fields) -> Command:
    return Issue(
        not_before=fields.moment("not_before"),
        not_after=fields.moment("not_after"),
        product=fields.text("product"),
        seat=fields.text("seat"),
        commitment=fields.digest("commitment"),
        data=fields.base64("data", limit=DATA_BYTES_MAX),
        metadata=fields.texts("metadata"),
    )


def _gate(kind: type[Consume | Admit]) -> Any:
    return lambda fields: kind(gate=fields.text("gate"), device=fields.text("device"))


def _resolve(fields: Fields) -> Command:
    verdict = fields.text("verdict")
    if verdict not in ("clear", "uphold"):
        raise InvalidRequest('verdict must be "clear" or "uphold"')
    return Resolve(verdict=verdict)


KINDS: dict[str, Any] = {
    "issue": _issue,
    "seed": lambda _fields: Seed(),
    "validate": lambda fields: Validate(data=fields.base64("data", limit=VALIDATION_DATA_BYTES_MAX)),
    "consume": _gate(Consume),
    "admit": _gate(Admit),
    "dispute": lambda fields: Dispute(reason=fields.text("reason")),
    "resolve": _resolve,
}
"""Kind of operation to the function that reads its own fields."""


def request_of(kind: str, fields: Fields, nonce: bytes) -> Request:
    """The request that a body describes; raise InvalidRequest naming the field that is wrong."""
    ticket = "" if kind == "seed" else fields.ticket_id()
    return Request(KINDS[kind](fields), ticket=ticket, event=fields.text("event", DEFAULT_EVENT), nonce=nonce)
