"""Answers: the contract's envelope, bare values, and errors."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from dtvn.api.errors import SEQUENCE_HEADER, ServiceError

_encoder = msgspec.json.Encoder()


class Answer(msgspec.Struct, frozen=True):
    """A JSON answer, as either mount sends it."""

    content: bytes
    status: int = 200
    headers: dict[str, str] = {}


def bare(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Any value without the envelope."""
    return Answer(_encoder.encode(value), status, dict(headers or {}))


def success(
    message: str = "",
    data: Any = msgspec.UNSET,
    *,
    sequence: int | None = None,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Answer:
    """The envelope; `data` is left out if absent, `message` if empty. `sequence`: place in the log that the
    answer reflects (R17). `more`: further members."""
    body: dict[str, Any] = {"success": True}
    if message:
        body["message"] = message
    if data is not msgspec.UNSET:
        body["data"] = data
    body.update(more or {})
    reflected = {} if sequence is None else {SEQUENCE_HEADER: str(sequence)}
    return bare(body, headers={**(headers or {}), **reflected})


def failure(error: ServiceError, *, enveloped: bool = True, code: bool = True) -> Answer:
    """Answers an error, with or without the envelope. `code` False leaves the code out, as the Go DTVN does
    for a missing key."""
    body: dict[str, Any] = {"success": False} if enveloped else {}
    body["error"] = str(error)
    if code:
        body["code"] = error.code
        body.update(error.more)
    return bare(body, status=error.status, headers=error.headers)


def last_response(answer: Answer) -> bytes:
    """The whole HTTP/1.1 response, for a server that refuses a request before it is read, and then closes the
    connection."""
    head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"
    kind = f"Content-Type: application/json\r\nContent-Length: {len(answer.content)}"
    return f"{head}\r\n{kind}\r\nConnection: close\r\n\r\n".encode("ascii") + answer.content
