"""Every error answer of the API, as one table from exception to answer. No exception becomes a 500."""

from __future__ import annotations

import logging

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, InterfaceError
from django.http import Http404, UnreadablePostError
from prometheus_client import Counter
from rest_framework import exceptions

from dtvn.api.errors import ApiError, ServiceError
from dtvn.machine import reasons
from validators.database_failures import answer_to, is_outage
from validators.database_url import first_line

logger = logging.getLogger(__name__)

_unforeseen = Counter("dtvn_platform_unforeseen_errors", "Unexpected failures while answering requests.")

UNAUTHORIZED = "Invalid or missing API key"


def describe(error: Exception) -> ServiceError:
    """The answer to an exception. An unexpected one is logged with its traceback and answered with 503."""
    match error:
        case ServiceError():
            return error
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return ApiError(401, "unauthorized", UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
        case exceptions.PermissionDenied():
            return ApiError(403, reasons.NOT_PERMITTED, str(error.detail))
        case exceptions.MethodNotAllowed():
            return ApiError(405, "method_not_allowed", str(error.detail))
        case Http404():
            return ApiError(404, "not_found", "Nothing was found at this path.")
        case RequestDataTooBig():
            return ApiError(413, reasons.TOO_LARGE, "The request is too large.")
        case BadRequest() | SuspiciousOperation() | UnreadablePostError() | exceptions.ParseError():
            return ApiError(400, reasons.BAD_REQUEST, "The request could not be parsed.")
        case DatabaseError() | InterfaceError() if is_outage(error):
            logger.warning("the database did not answer: %s", first_line(error))
            return answer_to(error)
    _unforeseen.inc()
    logger.error("an answer failed", exc_info=error)
    return ApiError(503, "internal_error", "Internal error: see the platform's log.")


def status_of(code: str) -> int:
    """HTTP status of an outcome's code; an unknown refusal counts as a conflict."""
    known = reasons.REASONS.get(code)
    return 409 if known is None else known.status
