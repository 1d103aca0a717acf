"""Views of the pages and their access rules; the snapshot that pages start from, and the diagnosis of a stuck
cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from dtvn.api.errors import Unavailable
from dtvn.api.rights import READ
from dtvn.proof.continuation import continues
from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode
from validators.dashboard.consumers import CLOSED_NO_ACCESS
from validators.dashboard.context import PLAIN_STATES
from validators.dashboard.diagnosis import describe, explain
from validators.dashboard.nodes import describe_nodes, describe_state_of_page
from validators.feed.rows import read_snapshot
from validators.ledger.read import STATES
from validators.rest.keys import ANYBODY, Caller, caller_of_person
from validators.services.following import PAGES_OF_MEMBERS, is_follower
from validators.services.mode import cluster_mode
from validators.services.network import gateway

View = Callable[..., HttpResponse]

PAGES = (
    ("dashboard:page", "Live"),
    ("dashboard:nodes", "Nodes"),
    ("dashboard:network", "Network"),
    ("tickets:page", "Tickets"),
    ("tickets:events", "Events"),
    ("events", "Agent runs"),
    ("simulator", "Simulator"),
    ("dashboard:metrics", "Metrics"),
)
"""URL name and page name."""
GATE = ("tickets:gate", "Gate")
"""The page that only those see in the menu who may scan."""
NEEDED = {
    "nodes": frozenset({"admin"}),
    "events": frozenset({"record"}),
    "simulator": frozenset({"admin"}),
}
"""Scopes any one of which allows changes on a page; the API checks the exact one."""


OF_EVENTS = frozenset({"dashboard:page", "tickets:page", "tickets:events"})
"""Of PAGES those that show a login for some events what is of them; the others are of no event."""
PLAIN = {
    "ok": "Everything works",
    "tight": "Scans are decided, but a part of the network is missing: tell who runs it",
    "stuck": "Scans cannot be decided now: they wait, and are asked again by themselves",
    "none": "Whether scans are decided is not known now",
}
"""The state of the cluster, by its level, for logins that do not run it."""


def _runs_no_network(caller: Caller) -> bool:
    return caller.rights.has("issue", "gate") and not caller.rights.has("admin")


def _offered(caller: Caller) -> tuple[tuple[str, str], ...]:
    if caller.is_steward:
        return (GATE,)
    pages = tuple(each for each in PAGES if caller.rights.may(READ, None) or each[0] in OF_EVENTS)
    found = (*pages, GATE) if caller.rights.has("gate") else pages
    return tuple(each for each in found if each[0] not in PAGES_OF_MEMBERS) if is_follower() else found


def frame(caller: Caller, title: str) -> dict[str, Any]:
    """What dashboard/base.html needs; `title` is that of the page, or of the page it belongs to."""
    return {
        "title": title,
        "pages": _offered(caller),
        "closed_no_access": CLOSED_NO_ACCESS,
        "states": STATES,
        "words_of_states": [(state, PLAIN_STATES[state.lower()]) for state in STATES],
        "plain_state": PLAIN if _runs_no_network(caller) else {},
        "words_of_mode": quorum.WORDS[cluster_mode()],
        "known": caller.actor != ANYBODY.actor,
        "of_events": caller.rights.events() is not None,
        "is_steward": caller.is_steward,
        "actor": caller.actor,
    }


def gate_address(caller: Caller) -> str:
    """The gate's page with what is known of the place: the caller's one event, and its only list."""
    event = caller.rights.only_event
    place = {"event": event} if event else {}
    lists = caller.rights.lists("gate", event)
    if event and len(lists) == 1:
        (place["list"],) = lists
    return f"{reverse('tickets:gate')}?{urlencode(place)}"


def page_of(name: str, **context: Any) -> View:
    """The view of a page from its template; its content comes from `snapshot`, the feed and the API. An
    unauthenticated visitor is redirected to the login, and actions that a user may not perform are not
    offered."""

    @require_GET
    def view(request: HttpRequest) -> HttpResponse:
        caller = caller_of_person(request)
        if caller is None:
            return redirect_to_login(request.get_full_path())
        if caller.is_steward:
            return redirect(gate_address(caller))
        if f"dashboard:{name}" not in OF_EVENTS and not caller.rights.may(READ, None):
            return HttpResponseForbidden("This page is of no event: it needs a login for all events.\n")
        shown = frame(caller, name.capitalize()) | {
            "may_change": not is_follower() and caller.rights.has(*NEEDED.get(name, ())),
            "continues": _continues() if name == "nodes" else "",
            "crash_only": quorum.RAFT_LABEL if cluster_mode() is Mode.RAFT else "",
            "guests_first": _runs_no_network(caller),
        }
        return render(request, f"dashboard/{name}.html", shown | context)

    return view


def _continues() -> str:
    """The cluster that this one continues (R11); "" if it continues none, or there is no cluster."""
    try:
        return continues(gateway().genesis)
    except Unavailable:
        return ""


def for_pages(view: View | None = None, *, by_event: bool = False) -> Any:
    """Decorator for page data, of which the view gets the caller: 401 instead of a redirect, 503 while the
    database is locked, never cached. `by_event`: the view itself answers each caller what is of its
    events; other views are for those who may read all."""
    if view is None:
        return lambda view: for_pages(view, by_event=by_event)

    @wraps(view)
    def answer(request: HttpRequest, **named: str) -> HttpResponse:
        caller = caller_of_person(request)
        if caller is None:
            return JsonResponse({"error": "log in first"}, status=401)
        caller = caller.on_pages()
        if not (caller.rights.has(READ) if by_event else caller.rights.may(READ, None)):
            return JsonResponse({"error": "This needs a login for all events."}, status=403)
        try:
            response = view(request, caller, **named)
        except DatabaseError as error:
            return JsonResponse({"error": str(error)}, status=503, headers={"Retry-After": "1"})
        response.headers["Cache-Control"] = "no-store"
        return response

    return answer


@require_GET
@for_pages(by_event=True)
def snapshot(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The log as of one sequence, and the nodes; the feed continues from there."""
    nodes_as_of = time.time()
    nodes = describe_nodes()
    return JsonResponse(
        {
            "log": read_snapshot(caller.rights.events()),
            "nodes": nodes,
            "nodes_as_of": nodes_as_of,
            "state": describe_state_of_page(nodes),
            "now": time.time(),
        }
    )


@require_GET
@for_pages(by_event=True)
def diagnosis(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Why nothing is being decided, or that all is well; asks every node."""
    return JsonResponse(describe(explain()))


def websocket_only(request: HttpRequest) -> HttpResponse:
    """Answers a plain request to `/ws`."""
    return JsonResponse({"error": "this address accepts only WebSocket connections"}, status=400)
