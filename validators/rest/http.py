"""The plain handlers of the API as views of Django REST framework: permissions, request limits, answers.

A handler is a function from a `Call`, the parameters of its path, and its `body` if it takes one (a Struct,
by its annotation) to an `Answer`. DRF provides dispatch, authentication and CSRF; parsing and rendering use
msgspec, because they are most of the cost of a small answer.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, ClassVar, Literal, get_type_hints

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.views import APIView

from dtvn.api.answers import Answer, failure
from dtvn.api.bodies import nonce_of, read_body
from dtvn.api.calls import Call
from dtvn.api.errors import SEQUENCE_HEADER, ApiError, InvalidRequest, ServiceError, Unavailable
from dtvn.api.ordering import OVERLOADED
from dtvn.api.queries import read_event
from dtvn.api.rights import READ
from dtvn.api.writes import members_untold
from dtvn.machine import reasons
from dtvn.machine.bodies import PRINTABLE, NonceBody, OperationBody
from validators import feed
from validators.rest.errors import describe
from validators.rest.keys import (
    SAFE_METHODS,
    SESSION,
    Caller,
    KeyAuthentication,
    OpenAuthentication,
    PersonAuthentication,
    require,
)
from validators.services import audit, cluster, network
from validators.services.login_throttle import client_address
from validators.services.wrong_codes import READER, wrong_codes
from validators.web.lane import step_aside
from validators.web.one_hop import READS, HeldResponse
from validators.web.request_lines import NONCE

BODY_BYTES_MAX = 1024 * 1024
"""Largest body of a single operation."""

OWN_WRITES_WAIT = 1.0
"""Seconds that a read waits for this platform's own writes (R17)."""
WAITING_MAX = READS * 3 // 4
"""Threads for reads in which reads wait for what they ask for besides: a later sequence, a barrier, a proof,
a member's answer."""
WAITING_EACH = READS // 2
"""Most of them for one caller. Of the others a caller gets only its first."""

Handler = Callable[..., Answer | HttpResponseBase]

About = Literal["", "event", "cluster"]
"""Content of a route: tickets of the one event that the request names (query or body), the cluster without
any ticket, or anything else (""). A key for one event may not use the last kind."""


class ApiView(APIView):
    """`scopes`: the scope that each method needs in addition to a key; methods that are not listed only need
    a key."""

    authentication_classes = (OpenAuthentication, KeyAuthentication, PersonAuthentication)
    permission_classes = ()
    parser_classes = ()
    scopes: ClassVar[Mapping[str, str]] = {}
    enveloped: ClassVar[bool] = True
    """Errors carry "success": false; the platform's own routes leave it out."""
    about: ClassVar[About] = ""
    allowed_methods: ClassVar[Sequence[str]] = ()  # type: ignore[assignment]
    """Methods with a handler of ours; OPTIONS is not one of them."""
    needs_nodes: ClassVar[bool] = False
    """Like the Go DTVN's supervisor, which queried a node: 503 while no node can be queried."""
    kind: ClassVar[str] = ""
    """Kind of the operation that POST orders; "": another call."""
    caller: Caller
    """Of the request, once it is authenticated."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authentication and authorisation before the handler. (No content negotiation: all is JSON.)"""
        # First of all; pages of other sites never send OPTIONS here.
        self.caller = caller = require(request.user)
        if request.method not in self.allowed_methods:
            self.http_method_not_allowed(request, *args, **kwargs)
        right = self.scopes.get(request.method or "", READ)
        if not self.about or not caller.rights.has(right):
            caller.rights.require(right, None)
        if self.needs_nodes and (why := cluster.why_no_node()):
            raise ApiError(503, "no_node", why, bare=True)

    def handle_exception(self, error: Exception) -> HttpResponseBase:  # type: ignore[override]
        """Converts every exception into a JSON answer."""
        described = describe(error)
        if described.status == 405:
            described.headers["Allow"] = ", ".join(self.allowed_methods)
        described.more = described.more or members_untold(self.kind, described)
        late = wrong_codes.late(self.caller.actor) if described.code == reasons.BARCODE_NOT_FOUND else 0.0
        if late:
            described.more = {"hint": READER, **described.more}
        return response_of(refusal(described, enveloped=self.enveloped), held_for=late)

    def finalize_response(  # type: ignore[override]
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Every answer reports the sequence that it reflects (R17)."""
        if SEQUENCE_HEADER not in response.headers:
            response.headers[SEQUENCE_HEADER] = str(network.acknowledged())
        response.headers.setdefault("Cache-Control", "no-store")  # tickets and names of guests
        return response

    def call(self, *, limit: int) -> Call:
        """The request for a plain handler, with its body if `limit` (bytes) is above 0."""
        raw, caller = self.request._request, self.caller
        pairs = tuple((name, value) for name, values in raw.GET.lists() for value in values)
        if self.about == "event" and caller.rights.only_event and "event" not in raw.GET:
            pairs = (*pairs, ("event", caller.rights.only_event))
        body = _read_body(raw, limit) if limit else b""
        call = Call(
            raw.path,
            pairs,
            raw.headers,
            body,
            caller.actor,
            caller.rights,
            caller.gate,
            person=self.request.auth == SESSION,
        )
        if self.about == "event" and not limit:
            call.rights.require(READ, read_event(call.query))
        return call


def refusal(described: ServiceError, *, enveloped: bool = True) -> Answer:
    """The answer to an error, in the envelope if the path has one (`enveloped`) and the error is in it."""
    # A caller without a key has not reached a validator yet: exactly the supervisor's message (C43).
    exact = described.status == 401
    bare = isinstance(described, ApiError) and described.bare
    return failure(described, enveloped=enveloped and not (exact or bare), code=not exact)


def route(
    *,
    enveloped: bool = True,
    needs_nodes: bool = False,
    scope: str = "",
    about: About = "",
    body_bytes: int = BODY_BYTES_MAX,
    audited: bool = True,
    streamed: bool = False,
    kind: str = "",
    **handlers: Handler,
) -> Callable[..., HttpResponseBase]:
    """The view of one path. `handlers`: by method in lower case. `scope`: what methods other than GET need,
    besides a key. `about`: what keys for one event may use. `body_bytes`: largest body of these. `audited`:
    whether changes are platform actions, if they are not about an event. `streamed`: the
    handler takes the request besides the call, and reads the body itself. `kind`: of the operation that POST
    orders, if it is one."""
    methods = {
        name: _method(
            handler,
            0 if name == "get" else body_bytes,
            audited=audited and about != "event",
            streamed=streamed,
        )
        for name, handler in handlers.items()
    }
    scopes = {name.upper(): scope for name in handlers if scope and name != "get"}
    answered = {*handlers, "head"} if "get" in handlers else handlers
    members = {
        **methods,
        "allowed_methods": [name.upper() for name in ApiView.http_method_names if name in answered],
        "scopes": scopes,
        "enveloped": enveloped,
        "needs_nodes": needs_nodes,
        "about": about,
        "kind": kind,
    }
    view: type[ApiView] = type("RouteView", (ApiView,), members)
    return view.as_view()


def _method(
    handler: Handler, limit: int, *, audited: bool, streamed: bool
) -> Callable[..., HttpResponseBase]:
    """The view's method. `audited`: changes and downloads are platform actions; the ordered log has its own
    records of operations on tickets."""
    shape = get_type_hints(handler).get("body")

    @wraps(handler)
    def method(view: ApiView, _request: Request, **names: Any) -> HttpResponseBase:
        call, recorded = view.call(limit=0 if streamed else limit), ""
        if streamed:
            return _response(handler(call, view.request._request))
        if shape is not None:
            names["body"] = body = read_body(call.body, shape, call.rights.only_event)
            recorded = body.recorded
            if isinstance(body, OperationBody):
                call.rights.require(view.scopes.get(view.request.method or "", READ), body.event)
            if isinstance(body, NonceBody):
                setattr(view.request._request, NONCE, nonce_of(body, call.idempotency_key))
        if not audited:
            return _response(handler(call, **names))
        _require_printable(names)
        return _audited(view.request._request, call.actor, recorded, partial(handler, call, **names))

    return method


def _require_printable(names: Mapping[str, Any]) -> None:
    """Raise InvalidRequest (400) if a name in the path holds a control character, which no name may."""
    for field, name in names.items():
        if isinstance(name, str) and not re.fullmatch(PRINTABLE, name):
            raise InvalidRequest(f"{field} must not contain control characters")


def _audited(raw: HttpRequest, actor: str, recorded: str, answer: Handler) -> HttpResponseBase:
    """Runs `answer` and returns its answer; records who asked for a change or a download. `recorded`: text
    about the body."""
    action, query, address = f"{raw.method} {raw.path}", raw.META.get("QUERY_STRING", ""), client_address(raw)
    if raw.method not in SAFE_METHODS:
        with audit.recorded(actor, action, " ".join(filter(None, (query, recorded))), address):
            return _response(answer())
    response = _response(answer())
    if "Content-Disposition" in response.headers:
        audit.record(actor, action, query, "sent", address)
    return response


def _response(answer: Answer | HttpResponseBase) -> HttpResponseBase:
    return response_of(answer) if isinstance(answer, Answer) else answer


def _read_body(raw: HttpRequest, limit: int) -> bytes:
    """The body; raise 413 when it is longer than `limit`. The server has read it completely by then, so the
    client sees the answer instead of a broken connection."""
    announced = raw.META.get("CONTENT_LENGTH") or "0"
    too_large = announced.isascii() and announced.isdigit() and int(announced[:20]) > limit
    body = b"" if too_large else raw.read(limit + 1)
    if too_large or len(body) > limit:
        raise ApiError(413, "too_large", f"The body is larger than {limit} bytes.")
    return body


_waiting: Counter[str] = Counter()
"""Number of waiting reads by caller."""
_waiting_lock = threading.Lock()


@contextmanager
def may_wait(caller: str) -> Iterator[bool]:
    """A block in which a read waits; False, so that it should not, if too many do."""
    with _waiting_lock:
        free = WAITING_MAX - _waiting.total()
        few = free > (WAITING_MAX - WAITING_EACH if _waiting[caller] else 0)
        _waiting[caller] += few
    if few:
        step_aside()
    try:
        yield few
    finally:
        with _waiting_lock:
            _waiting[caller] -= few
            if not _waiting[caller]:
                del _waiting[caller]


@contextmanager
def waiting(caller: str) -> Iterator[None]:
    """A block in which a read waits; raises Unavailable if too many do. Not around `own_writes`, which would
    count the read twice."""
    with may_wait(caller) as few:
        if not few:
            raise Unavailable(OVERLOADED, reasons.BUSY)
        yield


def waits(handler: Handler) -> Handler:
    """The handler of a read, in which it waits."""

    @wraps(handler)
    def handle(call: Call, **names: Any) -> Answer | HttpResponseBase:
        with waiting(call.actor):
            return handler(call, **names)

    return handle


def own_writes(call: Call) -> int:
    """Wait, at most a second, until the platform's copy includes the writes that this process acknowledged
    and, if few reads of the caller wait, the sequence that the request names; returns the copy's sequence
    (R17)."""
    own = network.acknowledged()
    if call.min_sequence <= own:
        return feed.wait_for(own, OWN_WRITES_WAIT)
    with may_wait(call.actor) as few:
        if few:
            return feed.wait_for(call.min_sequence, OWN_WRITES_WAIT)
    return feed.wait_for(own, OWN_WRITES_WAIT)


def response_of(answer: Answer, held_for: float = 0.0) -> HttpResponse:
    """A plain answer as Django sends it, `held_for` seconds later."""
    kind = HeldResponse if held_for else HttpResponse  # whose client is watched, which costs a task
    response = kind(
        answer.content, status=answer.status, content_type="application/json", headers=answer.headers
    )
    if isinstance(response, HeldResponse):
        response.held_for = held_for
    return response


class NothingView(ApiView):
    """Answers 404 for any unknown path below /api/ and any method, but only to authenticated callers."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authentication only."""
        require(request.user)
        # An unknown path reaches no node: under the Go DTVN's conventions, the supervisor's own form applies.
        raise ApiError(404, "not_found", "Nothing was found at this path.", bare=settings.SUPERVISOR)


not_found = NothingView.as_view()


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 of Django itself (a foreign Host header, a broken upload): JSON below /api/, one line elsewhere."""
    if isinstance(exception, DisallowedHost):
        text = "Unknown name in the Host header; add it to DTVN_ALLOWED_HOSTS."
        error = ApiError(400, "bad_host", text)
    else:
        error = ApiError(400, "bad_request", "The request could not be parsed.")
    if request.path.startswith("/api/"):
        return response_of(failure(error, enveloped=not settings.SUPERVISOR))
    return HttpResponse(f"{error}\n", status=400, content_type="text/plain; charset=utf-8")
