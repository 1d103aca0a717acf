"""A log line for each request that the web process answered, in the form of a node's (node.request_log).

Requests of programs have level INFO; those of the platform's own pages, which come without a key and with a
session or from the same origin, or are not below /api/, have DEBUG. Each kind has a limit of lines per
second, and reports how many it left out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from dtvn.api.access import key_of
from dtvn.api.errors import SEQUENCE_HEADER
from dtvn.node.api_channel import Answered
from dtvn.node.request_log import RequestLog, nonce_text
from validators.web.one_hop import LaterResponse

NONCE = "dtvn_nonce"
"""Attribute of a Django request: the operation's nonce (bytes), once it was read."""
LOGGER = logging.getLogger("dtvn.requests")


class RequestLines:
    """Middleware, the first of those that answer. Thread-safe."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._lock = threading.Lock()
        self._logs = {level: RequestLog(LOGGER, level=level) for level in (logging.INFO, logging.DEBUG)}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """See Django."""
        began = time.perf_counter()
        response = self._get_response(request)
        if isinstance(response, LaterResponse):
            response.once_begun.append(partial(self._log, request, response, began))
        else:
            self._log(request, response, began)
        return response

    def _log(self, request: HttpRequest, response: HttpResponseBase, began: float) -> None:
        level = logging.DEBUG if _of_a_page(request) else logging.INFO
        if LOGGER.isEnabledFor(level):
            sequence = response.headers.get(SEQUENCE_HEADER, "")
            told = Answered(
                request.method or "",
                request.path,
                response.status_code,
                time.perf_counter() - began,
                request.path,
                nonce=nonce_text(getattr(request, NONCE, b"")),
                sequence=int(sequence) if sequence.isdecimal() else 0,
            )
            with self._lock:
                self._logs[level].answered([told])


def _of_a_page(request: HttpRequest) -> bool:
    if not request.path.startswith("/api/"):
        return True
    # The open platform of the supervisor has visitors without a session.
    same_origin = request.headers.get("Sec-Fetch-Site") == "same-origin"
    own = same_origin or settings.SESSION_COOKIE_NAME in request.COOKIES
    return own and key_of(request.headers) is None
