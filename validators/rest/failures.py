"""Pages and the admin while the database or the disk fails: 503 and one line, as the API answers.

These are error handlers, not a middleware: Django turns an exception of a middleware into an answer before
any other middleware sees it, and gets that answer from these two handlers.
"""

from __future__ import annotations

import logging
import sys

from django.conf import settings
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views import defaults

from dtvn.api import answers
from validators.database_failures import NO_ROOM, answer_to, is_outage
from validators.database_url import first_line
from validators.rest import http

logger = logging.getLogger("dtvn.web")


def server_error(request: HttpRequest) -> HttpResponse:
    """503 if the database or the disk failed, else Django's own page for 500."""
    failure = _outage(sys.exc_info()[1])
    return _unavailable(request, failure) if failure else defaults.server_error(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """503 if a session could not be written, which Django reports as a deleted session (400)."""
    cause = exception.__context__ if isinstance(exception, SessionInterrupted) else None
    while cause is not None:
        if isinstance(cause, OperationalError | InterfaceError):
            return _unavailable(request, cause)
        cause = cause.__context__
    return http.bad_request(request, exception)


def _outage(error: BaseException | None) -> BaseException | None:
    """`error` if it is a temporary outage (a lock, a full disk, an unreachable server). A bug of ours stays a
    500 with a traceback."""
    if isinstance(error, DatabaseError | InterfaceError) and is_outage(error):
        return error
    return error if isinstance(error, OSError) and error.errno in NO_ROOM else None


def _unavailable(request: HttpRequest, failure: BaseException) -> HttpResponse:
    logger.warning("%s %s was answered with 503: %s", request.method, request.path[:200], first_line(failure))
    answer = answer_to(failure)
    if request.path.startswith("/api/"):
        return http.response_of(answers.failure(answer, enveloped=not settings.SUPERVISOR))
    text = f"{answer}\n"
    return HttpResponse(text, status=503, content_type="text/plain; charset=utf-8", headers=answer.headers)
