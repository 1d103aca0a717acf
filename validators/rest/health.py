"""Probes without side effects. /health and /live: this process runs. /ready: a quorum votes in one view."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from dtvn.api.answers import bare
from dtvn.api.errors import SEQUENCE_HEADER, Unavailable
from dtvn.gateway import NO_CLUSTER, Agreement, MemberView, agreement_of
from dtvn.machine.reasons import UNAVAILABLE
from dtvn.protocol import quorum
from validators.membership import WAITING, awaited_by
from validators.rest.http import response_of
from validators.services import principals
from validators.services.network import informed_gateway

FOLLOWING = "following"
"""State of a node without a vote, in its status answer."""
METHODS = ("GET", "HEAD")
PROBES = frozenset({"/health", "/live", "/ready"})
OWN_NAME = "127.0.0.1"
"""Host name that is always allowed."""


@csrf_exempt
def health(request: HttpRequest) -> HttpResponse:
    """Exactly {"status": "healthy"} while this process answers at all."""
    if request.method not in METHODS:
        return _not_allowed()
    return _answer({"status": "healthy"})


@csrf_exempt
def live(request: HttpRequest) -> HttpResponse:
    """200 while this process answers at all."""
    return _answer({"status": "live"}) if request.method in METHODS else _not_allowed()


class HealthAtAnyName:
    """Allows the probes under any Host name: they come by address, and need no key anyway."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """See Django."""
        if request.path in PROBES:
            request.META["HTTP_HOST"] = OWN_NAME
        return self._get_response(request)


@csrf_exempt
def ready(request: HttpRequest) -> HttpResponse:
    """200 while a quorum votes in one view, by the members' newest reports; else 503 with the reason. Orders
    nothing. `sequence`: what a quorum has executed."""
    if request.method not in METHODS:
        return _not_allowed()
    state, views = _cluster()
    executed = sorted((view.sequence for view in views if view.id in state.agreeing_members), reverse=True)
    if not executed or len(executed) < state.needed:
        body: dict[str, Any] = {"status": "not ready", "error": _not_ready(state, views)}
        headers = {SEQUENCE_HEADER: "0", "Retry-After": "1"}
        return _answer(body | {"code": UNAVAILABLE} | _told(state, views), status=503, headers=headers)
    sequence = executed[state.needed - 1]
    body = {"status": "ready", "sequence": sequence} | _told(state, views)
    return _answer(body, headers={SEQUENCE_HEADER: str(sequence)})


def _not_ready(state: Agreement, views: Sequence[MemberView]) -> str:
    """Why the cluster decides nothing, and the remedy if one is known."""
    connected = any(view.connected for view in views)
    begun = f"{state.sentence}." if connected else f"{Unavailable()}{principals.unlisted() if views else ''}"
    return " ".join([begun, *_waits(views), _lost_votes(views)]).rstrip()


def _cluster() -> tuple[Agreement, Sequence[MemberView]]:
    """The cluster's state, and all members with their newest reports as held by the gateway: no node is
    queried."""
    try:
        network = informed_gateway()
        return agreement_of(network, wall=time.time_ns() // 1_000), network.members()
    except Unavailable:
        return NO_CLUSTER, ()


def _waits(views: Sequence[MemberView]) -> list[str]:
    """Members that wait for others' answers about their own votes, and the remedy, a sentence each (R11)."""
    waiting = [view for view in views if view.connected and view.status.get("state") == WAITING]
    return [_wait(view.id, ", ".join(awaited_by(view.status))) for view in waiting]


def _wait(waiting: str, awaited: str) -> str:
    if not awaited:
        return f"{waiting} is asking the others which of its votes they hold; too few have answered yet."
    return (
        f"{waiting} waits for the word of {awaited} about its own votes: start {awaited}; if that is gone "
        "for good or lost its ledger, see the runbook, DtvnNodeNotVoting (-others-are-gone)."
    )


def _lost_votes(views: Sequence[MemberView]) -> str:
    """Why the cluster will not commit again on its own (R11); "" if that is not known."""
    lost = sum(view.connected and view.status.get("state") == FOLLOWING for view in views)
    return quorum.lost_votes_sentence(len(views), lost) if views else ""


def _told(state: Agreement, views: Sequence[MemberView]) -> dict[str, Any]:
    """The fields `others_are_gone`, members whose votes rest on the operator's statement, `awaits`, members
    that wait for others (R11, f = 0), and `log_time_ahead`, seconds by which log time is ahead of this clock;
    without those that are empty."""
    connected = [view for view in views if view.connected]
    gone = [view.id for view in connected if view.status.get("others_are_gone")]
    awaits = {view.id: awaited for view in connected if (awaited := awaited_by(view.status))}
    told = {"others_are_gone": gone, "awaits": awaits, "log_time_ahead": state.log_time_ahead}
    return {name: value for name, value in told.items() if value}


def _answer(value: Any, **named: Any) -> HttpResponse:
    return response_of(bare(value, **named))


def _not_allowed() -> HttpResponse:
    body = {"error": "Method not allowed.", "code": "method_not_allowed"}
    return _answer(body, status=405, headers={"Allow": ", ".join(METHODS)})
