"""Pages and the admin while the database is locked or the disk is full: 503 and one line, as the API answers.

Not a middleware: Django turns what each of its middlewares raises into an answer before any other
sees it, and asks these two handlers for that answer.
"""

from __future__ import annotations

import errno
import logging
import sys

from django.conf import settings
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from django.http import HttpRequest, HttpResponse
from django.views import defaults

from validators.api import http
from validators.api.errors import ApiError

__all__ = ["bad_request", "server_error"]

OWN_FAULTS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
"""What no waiting mends: a mistake of ours, and stays a 500 with its traceback."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

logger = logging.getLogger("dtvn.web")


def server_error(request: HttpRequest) -> HttpResponse:
    """503 where the database or the disk failed, else Django's own page for 500."""
    failure = _outage(sys.exc_info()[1])
    return _unavailable(request, failure) if failure else defaults.server_error(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A session that could not be written is taken by Django for one that somebody deleted (400)."""
    cause = exception.__context__ if isinstance(exception, SessionInterrupted) else None
    while cause is not None:
        if isinstance(cause, OperationalError | InterfaceError):
            return _unavailable(request, cause)
        cause = cause.__context__
    return http.bad_request(request, exception)


def _outage(error: BaseException | None) -> BaseException | None:
    """`error` where it is an outage that passes: a lock, a full disk, a server that is away."""
    if isinstance(error, DatabaseError | InterfaceError) and not isinstance(error, OWN_FAULTS):
        return error
    return error if isinstance(error, OSError) and error.errno in NO_ROOM else None


def _unavailable(request: HttpRequest, failure: BaseException) -> HttpResponse:
    reason = str(failure).strip().partition("\n")[0]
    logger.warning("%s %s was answered with 503: %s", request.method, request.path[:200], reason)
    answer = ApiError(503, "database_busy", "The platform's database is busy; ask again.")
    if request.path.startswith("/api/"):
        return http.error_response(answer, enveloped=not settings.SUPERVISOR)
    text = f"{answer.sentence}\n"
    return HttpResponse(text, status=503, content_type="text/plain; charset=utf-8", headers=answer.headers)
