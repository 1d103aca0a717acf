"""Views of the pages and their access rules; the snapshot that pages start from, and the diagnosis of a stuck
cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dtvn.api.errors import Unavailable
from dtvn.proof.continuation import continues
from dtvn.protocol import quorum
from validators.dashboard.consumers import CLOSED_NO_ACCESS
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


def _offered(caller: Caller) -> tuple[tuple[str, str], ...]:
    if caller.only_event:
        return (GATE,)
    found = (*PAGES, GATE) if "gate" in caller.scopes else PAGES
    return tuple(each for each in found if each[0] not in PAGES_OF_MEMBERS) if is_follower() else found


def frame(caller: Caller, title: str) -> dict[str, Any]:
    """What dashboard/base.html needs; `title` is that of the page, or of the page it belongs to."""
    return {
        "title": title,
        "pages": _offered(caller),
        "closed_no_access": CLOSED_NO_ACCESS,
        "states": STATES,
        "words_of_mode": quorum.WORDS[cluster_mode()],
        "known": caller.actor != ANYBODY.actor,
        "one_event": caller.only_event,
        "actor": caller.actor,
    }


def page_of(name: str, **context: Any) -> View:
    """The view of a page from its template; its content comes from `snapshot`, the feed and the API. An
    unauthenticated visitor is redirected to the login, and actions that a user may not perform are not
    offered."""

    @require_GET
    def view(request: HttpRequest) -> HttpResponse:
        caller = caller_of_person(request)
        if caller is None:
            return redirect_to_login(request.get_full_path())
        shown = frame(caller, name.capitalize()) | {
            "may_change": not is_follower() and bool(NEEDED.get(name, frozenset()) & caller.scopes),
            "continues": _continues() if name == "nodes" else "",
            "guests_first": bool(caller.scopes) and "admin" not in caller.scopes,
        }
        return render(request, f"dashboard/{name}.html", shown | context)

    return view


def _continues() -> str:
    """The cluster that this one continues (R11); "" if it continues none, or there is no cluster."""
    try:
        return continues(gateway().genesis)
    except Unavailable:
        return ""


def for_pages(view: View) -> View:
    """Decorator for page data: 401 instead of a redirect, 503 while the database is locked, never cached."""

    @wraps(view)
    def answer(request: HttpRequest, **named: str) -> HttpResponse:
        if caller_of_person(request) is None:
            return JsonResponse({"error": "log in first"}, status=401)
        try:
            response = view(request, **named)
        except DatabaseError as error:
            return JsonResponse({"error": str(error)}, status=503, headers={"Retry-After": "1"})
        response.headers["Cache-Control"] = "no-store"
        return response

    return answer


@require_GET
@for_pages
def snapshot(request: HttpRequest) -> HttpResponse:
    """The log as of one sequence, and the nodes; the feed continues from there."""
    nodes_as_of = time.time()
    nodes = describe_nodes()
    return JsonResponse(
        {
            "log": read_snapshot(),
            "nodes": nodes,
            "nodes_as_of": nodes_as_of,
            "state": describe_state_of_page(nodes),
            "now": time.time(),
        }
    )


@require_GET
@for_pages
def diagnosis(request: HttpRequest) -> HttpResponse:
    """Why nothing is being decided, or that all is well; asks every node."""
    return JsonResponse(describe(explain()))


def websocket_only(request: HttpRequest) -> HttpResponse:
    """Answers a plain request to `/ws`."""
    return JsonResponse({"error": "this address accepts only WebSocket connections"}, status=400)
