"""Plain answers as Starlette sends them, and every kind of error."""

from __future__ import annotations

import logging

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from dtvn.api.answers import Answer, failure
from dtvn.api.errors import ApiError, ServiceError

logger = logging.getLogger("dtvn.node_api")

UNFORESEEN = "internal_error"
"""Code of an answer after a bug in this program; counted separately."""


def response_of(answer: Answer) -> Response:
    """A plain answer."""
    return Response(answer.content, answer.status, answer.headers, "application/json")


def refusal(error: ServiceError) -> Response:
    """An error in the envelope."""
    return response_of(failure(error, code=error.status != 401))


def describe(error: Exception) -> ServiceError:
    """The answer to an exception. An unexpected one is logged with its traceback and answered with 503."""
    match error:
        case ServiceError():
            return error
        case ClientDisconnect():
            return ApiError(400, "client_gone", "The client disconnected before its request was complete.")
    logger.error("an answer failed", exc_info=error)
    return ApiError(503, UNFORESEEN, "Internal error: see the node's log.")
