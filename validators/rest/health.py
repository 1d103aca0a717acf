"""Probes without side effects. /health and /live: this process runs. /ready: a quorum votes in one view; of a
follower, its copy is fresh."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from dtvn import __version__
from dtvn.api.answers import bare
from dtvn.api.errors import SEQUENCE_HEADER, Unavailable
from dtvn.api.mode import label
from dtvn.gateway import NO_CLUSTER, Agreement, MemberView, agreement_of, releases_of, waits_sentence
from dtvn.machine.reasons import UNAVAILABLE
from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode
from validators.membership import FOLLOWING, WAITING, awaited_by
from validators.rest.http import response_of
from validators.services import following, principals
from validators.services.mode import cluster_mode
from validators.services.network import informed_gateway, opened

METHODS = ("GET", "HEAD")
PROBES = frozenset({"/health", "/live", "/ready"})
OWN_NAME = "127.0.0.1"
"""Host name that is always allowed."""


@csrf_exempt
def health(request: HttpRequest) -> HttpResponse:
    """{"status": "healthy"} while this process answers at all, with its `release`; a platform of a Raft
    cluster adds its label, see `mode.label`. What this process knows of versions: `version`, the cluster's;
    `releases`, by member; `waits`, whom the next version waits for. No node is queried."""
    if request.method not in METHODS:
        return _not_allowed()
    return _answer({"status": "healthy", "release": __version__} | _versions() | label(cluster_mode()))


def _versions() -> dict[str, Any]:
    network = opened()
    if network is None:
        return {}
    releases, version = releases_of(network.members()), network.present.version
    told = {"version": version, "releases": {each.id: each.release for each in releases}}
    waits = waits_sentence(version, releases)
    return told | ({"waits": waits} if waits else {})


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
    if following.is_follower():
        return _follower_ready()
    state, views, mode = _cluster()
    executed = sorted((view.sequence for view in views if view.id in state.agreeing_members), reverse=True)
    if not executed or len(executed) < state.needed:
        body: dict[str, Any] = {"status": "not ready", "error": _not_ready(state, views, mode)}
        headers = {"Retry-After": "1"} | _last_known(views, state.liars_tolerated)
        return _answer(body | {"code": UNAVAILABLE} | _told(state, views, mode), status=503, headers=headers)
    sequence = executed[state.needed - 1]
    body = {"status": "ready", "sequence": sequence} | _told(state, views, mode)
    return _answer(body, headers={SEQUENCE_HEADER: str(sequence)})


def _follower_ready() -> HttpResponse:
    """Of a follower: 200 while its copy is as fresh as its pages promise."""
    found = following.freshness()
    age = None if found.age is None else round(found.age, 1)
    told = {"sequence": found.sequence, "as_of": found.as_of, "age": age}
    headers = {SEQUENCE_HEADER: str(found.sequence)}
    if found.level != "stuck":
        return _answer({"status": "ready"} | told, headers=headers)
    body = {
        "status": "not ready",
        "error": f"{found.sentence}. {following.REVOKED}.",
        "code": UNAVAILABLE,
    } | told
    return _answer(body, status=503, headers=headers | {"Retry-After": "1"})


def _last_known(views: Sequence[MemberView], liars: int) -> dict[str, str]:
    """The header with the highest sequence that one honest member has executed, as the members said last;
    none if that is not known."""
    told = sorted((view.sequence for view in views), reverse=True)
    known = told[liars] if len(told) > liars else 0
    return {SEQUENCE_HEADER: str(known)} if known else {}


def _not_ready(state: Agreement, views: Sequence[MemberView], mode: Mode | None) -> str:
    """Why the cluster decides nothing, and the remedy if one is known."""
    connected = any(view.connected for view in views)
    begun = f"{state.sentence}." if connected else f"{Unavailable()}{principals.unlisted() if views else ''}"
    return " ".join([begun, *_waits(views), _lost_votes(views, mode)]).rstrip()


def _cluster() -> tuple[Agreement, Sequence[MemberView], Mode | None]:
    """The cluster's state, all members with their newest reports as held by the gateway, and how they agree
    (None: there is no cluster yet): no node is queried."""
    try:
        network = informed_gateway()
        return agreement_of(network, wall=time.time_ns() // 1_000), network.members(), network.present.mode
    except Unavailable:
        return NO_CLUSTER, (), None


def _waits(views: Sequence[MemberView]) -> list[str]:
    """Members that wait for others' answers about their own votes, and the remedy, a sentence each (R11)."""
    waiting = [view for view in views if view.connected and view.status.get("state") == WAITING]
    return [_wait(view.id, awaited_by(view.status)) for view in waiting]


def _wait(waiting: str, awaited: Sequence[str]) -> str:
    said = quorum.waits_sentence(waiting, awaited)
    if not awaited:
        return f"{said}."
    return (
        f"{said}: start {', '.join(awaited)}; if that is gone for good or lost its ledger, see the runbook, "
        "DtvnNodeNotVoting (-others-are-gone)."
    )


def _lost_votes(views: Sequence[MemberView], mode: Mode | None) -> str:
    """Why the cluster will not commit again on its own (R11); "" if that is not known."""
    lost = sum(view.connected and view.status.get("state") == FOLLOWING for view in views)
    return quorum.lost_votes_sentence(len(views), lost, mode) if views and mode else ""


def _told(state: Agreement, views: Sequence[MemberView], mode: Mode | None) -> dict[str, Any]:
    """The fields of `mode.label`; `others_are_gone`, members whose votes rest on the operator's statement,
    `awaits`, members that wait for others (R11, f = 0), and `log_time_ahead`, seconds by which log time is
    ahead of this clock; without those that are empty."""
    connected = [view for view in views if view.connected]
    gone = [view.id for view in connected if view.status.get("others_are_gone")]
    awaits = {view.id: awaited for view in connected if (awaited := awaited_by(view.status))}
    told: dict[str, Any] = {"others_are_gone": gone, "awaits": awaits, "log_time_ahead": state.log_time_ahead}
    return label(mode) | {name: value for name, value in told.items() if value}


def _answer(value: Any, **named: Any) -> HttpResponse:
    return response_of(bare(value, **named))


def _not_allowed() -> HttpResponse:
    body = {"error": "Method not allowed.", "code": "method_not_allowed"}
    return _answer(body, status=405, headers={"Allow": ", ".join(METHODS)})
