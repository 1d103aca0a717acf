"""The base of every API view: permissions, request limits, and response format.

DRF provides dispatch, authentication and CSRF; parsing and rendering use msgspec, because they are most of
the cost of a small answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.views import APIView

from tickets.rest.queries import read_number
from tickets.services import network
from validators import feed
from validators.rest.errors import ApiError, describe
from validators.rest.keys import Caller, KeyAuthentication, OpenAuthentication, PersonAuthentication, require
from validators.services import cluster

__all__ = [
    "ApiView",
    "NothingView",
    "bad_request",
    "error_response",
    "json_response",
    "min_sequence",
    "not_found",
    "own_writes",
    "read_body",
    "success",
]

BODY_BYTES_MAX = 1024 * 1024
"""Largest body of a single operation (spec 1.4)."""

OWN_WRITES_WAIT = 1.0
"""Seconds that a read waits for this platform's own writes (R17)."""

SEQUENCE_HEADER = "X-DTVN-Sequence"
SEQUENCE_MAX = 2**63 - 1

_encoder = msgspec.json.Encoder()


class ApiView(APIView):
    """`scopes`: the scope that each method needs in addition to a key; methods that are not listed only need
    a key."""

    authentication_classes = (OpenAuthentication, KeyAuthentication, PersonAuthentication)
    permission_classes = ()
    parser_classes = ()
    scopes: ClassVar[Mapping[str, str]] = {}
    enveloped: ClassVar[bool] = True
    """Errors carry "success": false; the platform's own routes leave it out (spec 3)."""
    needs_nodes: ClassVar[bool] = False
    """Like the seed's supervisor, which queried a node: 503 while no node can be queried (spec 3.3)."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authentication and authorisation before the handler. (No content negotiation: all is JSON.)"""
        require(request.user, None)  # first of all (spec 1.6); pages of other sites never send OPTIONS here
        if not self._allows(request.method or ""):
            self.http_method_not_allowed(request, *args, **kwargs)
        require(request.user, self.scopes.get(request.method or ""))
        if self.needs_nodes and (why := cluster.why_no_node()):
            raise ApiError(503, "no_node", why, bare=True)

    def handle_exception(self, error: Exception) -> HttpResponseBase:  # type: ignore[override]
        """Converts every exception into a JSON answer."""
        described = describe(error)
        if described.status == 405:
            described.headers["Allow"] = ", ".join(self.allowed_methods)
        # A caller without a key has not reached a validator yet: exactly the supervisor's message (spec 3,
        # C43).
        exact = described.status == 401
        enveloped = self.enveloped and not (exact or described.bare)
        return error_response(described, enveloped=enveloped, code=not exact)

    def finalize_response(  # type: ignore[override]
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Every answer reports the sequence that it reflects (R17)."""
        if SEQUENCE_HEADER not in response.headers:
            response.headers[SEQUENCE_HEADER] = str(network.acknowledged())
        return response

    @property
    def allowed_methods(self) -> list[str]:
        """Methods with a handler of ours; OPTIONS is not one of them."""
        return [name for name in super().allowed_methods if name != "OPTIONS"]

    def caller(self) -> Caller:
        """The caller; always set once `initial` has passed."""
        caller = self.request.user
        if not isinstance(caller, Caller):
            raise TypeError("a handler ran without a caller")
        return caller

    def _allows(self, method: str) -> bool:
        return method in self.allowed_methods or (method == "HEAD" and "GET" in self.allowed_methods)


def read_body(request: Request, *, limit: int = BODY_BYTES_MAX) -> bytes:
    """The body; raise 413 when it is longer than `limit`. The server has read it completely by then, so the
    client sees the answer instead of a broken connection."""
    raw: HttpRequest = request._request
    announced = raw.META.get("CONTENT_LENGTH") or "0"
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise ApiError(413, "too_large", f"The body is over {limit} bytes.")
    body = raw.read(limit + 1)
    if len(body) > limit:
        raise ApiError(413, "too_large", f"The body is over {limit} bytes.")
    return body


def own_writes(request: Request) -> int:
    """Wait, at most a second, until the platform's copy includes the writes that this process acknowledged
    and the sequence that the request names; returns the copy's sequence (R17)."""
    return feed.wait_for(max(network.acknowledged(), min_sequence(request)), OWN_WRITES_WAIT)


def min_sequence(request: Request) -> int:
    """The sequence that the request requires (R17), 0 if it names none."""
    named = request._request.META.get("HTTP_X_DTVN_MIN_SEQUENCE", "0")
    return read_number("X-DTVN-Min-Sequence", named, 0, SEQUENCE_MAX)


def json_response(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Any value without the envelope."""
    return HttpResponse(
        _encoder.encode(value), status=status, content_type="application/json", headers=dict(headers or {})
    )


def success(
    message: str = "", data: Any = msgspec.UNSET, *, sequence: int | None = None, **headers: str
) -> HttpResponse:
    """The envelope of spec 1.1; `data` is left out if absent, `headers` have _ for -."""
    body: dict[str, Any] = {"success": True}
    if message:
        body["message"] = message
    if data is not msgspec.UNSET:
        body["data"] = data
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if sequence is not None:
        named[SEQUENCE_HEADER] = str(sequence)
    return json_response(body, headers=named)


def error_response(error: ApiError, *, enveloped: bool, code: bool = True) -> HttpResponse:
    """The error forms of spec 1.1 and 3."""
    body: dict[str, Any] = {"success": False} if enveloped else {}
    body["error"] = error.sentence
    if code:
        body["code"] = error.code
    return json_response(body, status=error.status, headers=error.headers)


class NothingView(ApiView):
    """Any unknown path below /api/, whatever the method: 404, but only for authenticated callers."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authentication only."""
        require(request.user, None)
        # An unknown path reaches no node: under the seed's conventions, the supervisor's own form applies.
        raise ApiError(404, "not_found", "There is nothing at this path.", bare=settings.SUPERVISOR)


not_found = NothingView.as_view()


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 of Django itself (a foreign Host header, a broken upload): JSON below /api/, one line elsewhere."""
    if isinstance(exception, DisallowedHost):
        text = "This server does not go by that name (Host header); DTVN_ALLOWED_HOSTS adds names."
        error = ApiError(400, "bad_host", text)
    else:
        error = ApiError(400, "bad_request", "The request cannot be read.")
    if request.path.startswith("/api/"):
        return error_response(error, enveloped=not settings.SUPERVISOR)
    return HttpResponse(f"{error}\n", status=400, content_type="text/plain; charset=utf-8")
