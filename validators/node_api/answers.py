"""Responses: the contract's envelope, and every kind of error (spec 1.1, 1.5)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from django.db import DatabaseError
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from tickets.services import TicketError
from validators.services.errors import ServiceError

__all__ = ["UNFORESEEN", "Problem", "bare", "failure", "problem_of", "success"]

logger = logging.getLogger("dtvn.node_api")

SEQUENCE_HEADER = "X-DTVN-Sequence"
UNFORESEEN = "internal_error"
"""Code of an answer after a bug in this program; counted separately."""
RETRY_AFTER = {503: "1", 504: "1"}
"""Retry-After in seconds: both conditions are temporary."""

_encoder = msgspec.json.Encoder()


class Problem(Exception):
    """An answer other than 200: status, stable code, message, further headers."""

    def __init__(
        self, status: int, code: str, sentence: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})


def bare(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Any value without the envelope."""
    return Response(_encoder.encode(value), status, dict(headers or {}), "application/json")


def success(
    message: str = "",
    data: Any = msgspec.UNSET,
    *,
    sequence: int = 0,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The envelope; `data` is left out if absent, `message` if empty."""
    body: dict[str, Any] = {"success": True}
    if message:
        body["message"] = message
    if data is not msgspec.UNSET:
        body["data"] = data
    return bare(body, headers={**(headers or {}), SEQUENCE_HEADER: str(sequence)})


def failure(problem: Problem) -> Response:
    """The error envelope."""
    headers = dict(problem.headers)
    if problem.status in RETRY_AFTER:
        headers["Retry-After"] = RETRY_AFTER[problem.status]
    body = {"success": False, "error": str(problem), "code": problem.code}
    if problem.status == 401:
        del body["code"]  # exactly the seed's body (spec 1.6)
    return bare(body, status=problem.status, headers=headers)


def problem_of(error: Exception) -> Problem:
    """The answer to an exception. An unexpected one is logged with its traceback and answered with 503."""
    match error:
        case Problem():
            return error
        case ClientDisconnect():
            return Problem(400, "client_gone", "The client left before its request was whole.")
        case TicketError():
            headers = {SEQUENCE_HEADER: str(error.sequence)} if error.sequence else {}
            return Problem(error.status, error.code, str(error), headers)
        case ServiceError():
            return Problem(409, error.code, str(error))
        case DatabaseError():
            logger.warning("the ledger did not answer: %s", error)
            return Problem(503, "database_busy", "The ledger is busy; ask again.")
    logger.error("an answer failed", exc_info=error)
    return Problem(503, UNFORESEEN, "The node failed to answer; its log says why.")
