"""/health: this process runs. /ready: the cluster commits, as of at most a second ago."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from dtvn.api.answers import bare
from dtvn.api.errors import SEQUENCE_HEADER, Unavailable
from dtvn.api.ordering import Request
from dtvn.gateway import MemberView
from dtvn.machine import Barrier
from dtvn.protocol import quorum
from validators.membership.roster import WAITING, awaited_by
from validators.rest.errors import describe
from validators.rest.http import response_of
from validators.services.decide import decide_one
from validators.services.network import PRINCIPAL, gateway

GOOD_FOR = 1.0
"""Seconds for which one check answers all requests."""

BARRIER_WAIT = 5.0
"""Seconds; enough for a view change."""

FOLLOWING = "following"
"""State of a node without a vote, in its status answer."""
METHODS = ("GET", "HEAD")
OWN_NAME = "127.0.0.1"
"""Host name that is always allowed."""


@csrf_exempt
def health(request: HttpRequest) -> HttpResponse:
    """Exactly {"status": "healthy"} while this process answers at all (spec 3.2)."""
    if request.method not in METHODS:
        return _not_allowed()
    return _answer({"status": "healthy"})


class HealthAtAnyName:
    """Allows /health under any Host name: probes use addresses, and the answer reveals nothing."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """See Django."""
        if request.path == "/health":
            request.META["HTTP_HOST"] = OWN_NAME
        return self._get_response(request)


@csrf_exempt
def ready(request: HttpRequest) -> HttpResponse:
    """200 if an operation was committed just now, else 503 with the reason."""
    if request.method not in METHODS:
        return _not_allowed()
    found = readiness.look()
    headers = {SEQUENCE_HEADER: str(found.sequence)}
    if found.error:
        body: dict[str, Any] = {"status": "not ready", "error": found.error, "code": found.code}
        return _answer(body | found.told, status=503, headers=headers | {"Retry-After": "1"})
    return _answer({"status": "ready", "sequence": found.sequence} | found.told, headers=headers)


class Look(msgspec.Struct, frozen=True):
    """The result of one check; `error` is "" when the cluster commits."""

    taken_at: float
    sequence: int
    code: str
    error: str
    told: dict[str, Any]
    """See _told."""


class Readiness:
    """Commits a barrier (an ordered operation without effect) on request, shared by concurrent requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Look | None = None

    def look(self) -> Look:
        """The newest check, or a new one if that is too old; concurrent callers share it."""
        known = self._last
        if known is not None and time.monotonic() - known.taken_at < GOOD_FOR:
            return known
        with self._lock:
            if self._last is known:
                self._last = self._take()
            found = self._last
        if found is None:
            raise RuntimeError("a look that was not taken")
        return found

    def forget(self) -> None:
        """Make the next call check anew."""
        self._last = None

    @staticmethod
    def _take() -> Look:
        try:
            decision = decide_one(Request(Barrier()), actor=PRINCIPAL, wait=BARRIER_WAIT)
        except Exception as error:  # noqa: BLE001 - answered, and logged if unexpected
            described = describe(error)
            views = _views()
            text = " ".join([str(described), *_waits(views), _lost_votes(views)]).rstrip()
            return Look(time.monotonic(), 0, described.code, text, _told(views))
        return Look(time.monotonic(), decision.result.sequence, "ok", "", _told(_views()))


readiness = Readiness()


def _views() -> Sequence[MemberView]:
    """All members with their newest reports as held by the gateway: no node is queried."""
    try:
        return gateway().members()
    except Unavailable:
        return ()


def _waits(views: Sequence[MemberView]) -> list[str]:
    """Members that wait for others' answers about their own votes, and the remedy, a sentence each (R11)."""
    waiting = [view for view in views if view.connected and view.status.get("state") == WAITING]
    return [_wait(view.id, ", ".join(awaited_by(view.status))) for view in waiting]


def _wait(waiting: str, awaited: str) -> str:
    if not awaited:
        return f"{waiting} is asking the others which of its votes they hold; too few have answered yet."
    return (
        f"{waiting} waits for the word of {awaited} about its own votes: start {awaited}; if that is gone "
        "for good, see the runbook, DtvnNodeNotVoting (-others-are-gone)."
    )


def _lost_votes(views: Sequence[MemberView]) -> str:
    """Why the cluster will not commit again on its own (R11); "" if that is not known."""
    lost = sum(view.connected and view.status.get("state") == FOLLOWING for view in views)
    return quorum.lost_votes_sentence(len(views), lost) if views else ""


def _told(views: Sequence[MemberView]) -> dict[str, Any]:
    """Fields that are present only when they apply (R11, f = 0): the members whose votes rest on the
    operator's statement, and those that wait for others."""
    connected = [view for view in views if view.connected]
    gone = [view.id for view in connected if view.status.get("others_are_gone")]
    awaits = {view.id: awaited for view in connected if (awaited := awaited_by(view.status))}
    return ({"others_are_gone": gone} if gone else {}) | ({"awaits": awaits} if awaits else {})


def _answer(value: Any, **named: Any) -> HttpResponse:
    return response_of(bare(value, **named))


def _not_allowed() -> HttpResponse:
    body = {"error": "Method not allowed.", "code": "method_not_allowed"}
    return _answer(body, status=405, headers={"Allow": ", ".join(METHODS)})
