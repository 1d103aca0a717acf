"""Probes without side effects. /health and /live: this process runs. /ready: a quorum votes in one view, and
no request waits for too long; of a follower, its copy is fresh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from dtvn import __version__
from dtvn.api.answers import bare
from dtvn.api.errors import SEQUENCE_HEADER, Unavailable
from dtvn.api.mode import label
from dtvn.gateway import releases_of, waits_sentence
from dtvn.machine.reasons import UNAVAILABLE
from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode
from dtvn.watch import NO_CLUSTER, Agreement, MemberReport
from validators.membership import FOLLOWING, WAITING
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
    """200 while the cluster decides, by the members' newest reports and the requests that wait; else 503 with
    the reason. Orders nothing. `sequence`: what a quorum has executed."""
    if request.method not in METHODS:
        return _not_allowed()
    if following.is_follower():
        return _follower_ready()
    state, reports, mode = _cluster()
    executed = sorted((each.sequence for each in reports if each.id in state.agreeing_members), reverse=True)
    if not state.decides or len(executed) < state.needed:
        body: dict[str, Any] = {"status": "not ready", "error": _not_ready(state, reports, mode)}
        headers = {"Retry-After": "1"} | _last_known(reports, state.liars_tolerated)
        return _answer(
            body | {"code": UNAVAILABLE} | _more(state, reports, mode), status=503, headers=headers
        )
    sequence = executed[state.needed - 1]
    body = {"status": "ready", "sequence": sequence} | _more(state, reports, mode)
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


def _last_known(reports: Sequence[MemberReport], liars: int) -> dict[str, str]:
    """The header with the highest sequence that one honest member has executed, as the members said last;
    none if that is not known."""
    reported = sorted((each.sequence for each in reports), reverse=True)
    known = reported[liars] if len(reported) > liars else 0
    return {SEQUENCE_HEADER: str(known)} if known else {}


def _not_ready(state: Agreement, reports: Sequence[MemberReport], mode: Mode | None) -> str:
    """Why the cluster decides nothing, and the remedy if one is known."""
    connected = any(each.connected for each in reports)
    begun = (
        f"{state.sentence}." if connected else f"{Unavailable()}{principals.unlisted() if reports else ''}"
    )
    return " ".join([begun, *_waits(reports), _lost_votes(reports, mode)]).rstrip()


def _cluster() -> tuple[Agreement, Sequence[MemberReport], Mode | None]:
    """The verdict on the cluster, all members' newest reports as held by the gateway, and how they agree
    (None: there is no cluster yet): no node is queried."""
    try:
        network = informed_gateway()
        return network.agreement(), network.members(), network.present.mode
    except Unavailable:
        return NO_CLUSTER, (), None


def _waits(reports: Sequence[MemberReport]) -> list[str]:
    """Members that wait for others' answers about their own votes, and the remedy, a sentence each (R11)."""
    return [_wait(each.id, each.awaits) for each in reports if each.connected and each.state == WAITING]


def _wait(waiting: str, awaited: Sequence[str]) -> str:
    sentence = quorum.waits_sentence(waiting, awaited)
    if not awaited:
        return f"{sentence}."
    return (
        f"{sentence}: start {', '.join(awaited)}; if that is gone for good or lost its ledger, see the "
        "runbook, DtvnNodeNotVoting (-others-are-gone)."
    )


def _lost_votes(reports: Sequence[MemberReport], mode: Mode | None) -> str:
    """Why the cluster will not commit again on its own (R11); "" if that is not known."""
    lost = sum(each.connected and each.state == FOLLOWING for each in reports)
    return quorum.lost_votes_sentence(len(reports), lost, mode) if reports and mode else ""


def _more(state: Agreement, reports: Sequence[MemberReport], mode: Mode | None) -> dict[str, Any]:
    """The fields of `mode.label`; `others_are_gone`, members whose votes rest on the operator's statement,
    `awaits`, members that wait for others (R11, f = 0), and `log_time_ahead`, seconds by which log time is
    ahead of this clock; without those that are empty."""
    connected = [each for each in reports if each.connected]
    fields: dict[str, Any] = {
        "others_are_gone": [each.id for each in connected if each.others_are_gone],
        "awaits": {each.id: list(each.awaits) for each in connected if each.awaits},
        "log_time_ahead": state.log_time_ahead,
    }
    return label(mode) | {name: value for name, value in fields.items() if value}


def _answer(value: Any, **named: Any) -> HttpResponse:
    return response_of(bare(value, **named))


def _not_allowed() -> HttpResponse:
    body = {"error": "Method not allowed.", "code": "method_not_allowed"}
    return _answer(body, status=405, headers={"Allow": ", ".join(METHODS)})
