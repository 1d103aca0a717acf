"""Checks on every request before its route: counting, CORS, the key, and the origin of writes.

It is plain ASGI around the routes, so that it applies to all their answers, 404 and 405 included.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dtvn.api.access import allowed_origin, key_of
from dtvn.api.errors import SEQUENCE_HEADER, ApiError
from dtvn.api.helper.responses import refusal
from dtvn.node.api_channel import Answered
from dtvn.node.options import ApiOptions
from dtvn.node.request_log import nonce_text

PATTERN = "dtvn.pattern"
"""Scope key for a route's pattern, under which the request is counted."""
NONCE = "dtvn.nonce"
"""Scope key for the request's nonce (bytes), for its log line."""
FAULT = "dtvn.fault"
"""Scope key that marks an unexpected error."""
OTHER = "other"
"""Endpoint name of requests that match no route."""
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Authorization, X-API-Key",
}

PATH_MAX = 256
"""Characters of a path that are reported; the node shows fewer."""


class Front:
    """`answered` is called for every HTTP request; `routes` supply the endpoint name of requests that no
    route handled."""

    def __init__(
        self,
        app: ASGIApp,
        options: ApiOptions,
        answered: Callable[[Answered], None],
        routes: Sequence[BaseRoute] = (),
    ) -> None:
        self._app = app
        self._options = options
        self._answered = answered
        self._routes = [route for route in routes if isinstance(route, Route)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket" and (refused := self._refuse_socket(scope)) is not None:
            await refused(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status, sequence = time.perf_counter(), 0, ""

        async def sent(message: Message) -> None:
            nonlocal status, sequence
            if message["type"] == "http.response.start":
                status = message["status"]
                sequence = Headers(raw=message.get("headers", [])).get(SEQUENCE_HEADER, "")
                if self._options.cors:
                    MutableHeaders(scope=message).update(CORS)
            await send(message)

        try:
            await (self._refuse(scope) or self._app)(scope, receive, sent)
        except Exception:
            scope[FAULT] = True
            raise
        finally:
            endpoint = scope.get(PATTERN) or self._pattern(scope["path"])
            seconds = time.perf_counter() - began
            fault = bool(scope.get(FAULT))
            told = Answered(
                scope["method"],
                endpoint,
                status or 499,
                seconds,
                _path_of(scope),
                fault,
                nonce_text(scope.get(NONCE, b"")),
                int(sequence) if sequence.isdecimal() else 0,
            )
            self._answered(told)

    def _pattern(self, path: str) -> str:
        """The route pattern of a path whose request reached no route: it was refused before, or has another
        method."""
        return next((route.path for route in self._routes if route.path_regex.match(path)), OTHER)

    def _refuse(self, scope: Scope) -> Response | None:
        """The answer to requests that end before any route; OPTIONS comes before the key check."""
        headers = Headers(scope=scope)
        if not scope["path"].startswith("/api/"):
            return None
        if scope["method"] == "OPTIONS":
            return Response(b"", 200)
        if self._options.key:
            if not key_fits(headers, self._options.key):
                return refusal(ApiError(401, "unauthorized", "Invalid or missing API key"))
            return None
        host = headers.get("host", "")
        if scope["method"] in WRITES and not allowed_origin(headers.get("origin"), host):
            text = "Pages of other sites may not change tickets (Origin header)."
            return refusal(ApiError(403, "foreign_origin", text))
        return None

    def _refuse_socket(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not allowed_origin(headers.get("origin"), headers.get("host", "")):
            return Response(b"Forbidden\n", 403, media_type="text/plain")
        if self._options.closed and not key_fits(headers, self._options.key):
            return refusal(ApiError(401, "unauthorized", "Invalid or missing API key"))
        return None


def _path_of(scope: Scope) -> str:
    """The path as received (not decoded), so that it cannot be disguised; without the query."""
    raw = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    return str(raw[:PATH_MAX].decode("latin-1"))


def key_fits(headers: Headers, key: str) -> bool:
    """Whether the request shows the node's key; compared in constant time."""
    return hmac.compare_digest((key_of(headers) or "").encode("latin-1"), key.encode())
