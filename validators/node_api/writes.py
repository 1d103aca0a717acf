"""POST: one operation each, ordered by the cluster with this node as its entry. No decision is made here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from dtvn.machine import Issue, reasons, seeded_count
from dtvn.machine.contract import ticket_of_bytes
from dtvn.protocol import canonical
from tickets.rest.bodies import MESSAGES, fields_of, nonce_of, request_of
from validators.node_api.answers import Problem, success
from validators.node_api.service import Service

__all__ = ["operation"]

BODY_BYTES_MAX = 1024 * 1024
"""Largest body of an operation (spec 1.4)."""
BODY_BYTES_READ = 16 * 1024 * 1024
"""A longer body is read to its end up to this size, so that its sender sees the answer."""


def operation(service: Service, kind: str) -> Callable[[HttpRequest], Awaitable[Response]]:
    """The handler of one kind of operation."""

    async def handle(http: HttpRequest) -> Response:
        fields = fields_of(kind, await _body(http))
        request = request_of(kind, fields, nonce_of(http.headers.get("idempotency-key"), fields))
        decision = await service.decide(request)
        message, result = MESSAGES[kind], decision.result
        if kind == "seed":
            data: Any = {"seeded": seeded_count(result.state)}
            return success(message, data, sequence=result.sequence)
        if kind == "issue" and isinstance(request.command, Issue) and result.state:
            names = [member.id for member in service.genesis.members]
            data = ticket_of_bytes(result.state, canonical.encode(request.command), names)
            return success(message, data, sequence=result.sequence)
        return success(message, sequence=result.sequence)

    return handle


async def _body(http: HttpRequest) -> bytes:
    """The body; raise 413 when it is too long."""
    announced = http.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > BODY_BYTES_READ:
        raise _too_large()
    body, size = bytearray(), 0
    async for chunk in http.stream():  # the deadline for the whole request is deadlines.READ
        size += len(chunk)
        if size <= BODY_BYTES_MAX:
            body += chunk
        elif size > BODY_BYTES_READ:
            break
    if size > BODY_BYTES_MAX:
        raise _too_large()
    return bytes(body)


def _too_large() -> Problem:
    return Problem(413, reasons.TOO_LARGE, f"The body is over {BODY_BYTES_MAX} bytes.")
