"""How pages are shown and to whom; the snapshot that they start from, and why the cluster does not move."""

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

from tickets.proof.continuation import continues
from tickets.services import Unavailable
from tickets.services.network import gateway
from validators.api.keys import ANYBODY, caller_of_person
from validators.dashboard.nodes import describe_cluster, describe_nodes
from validators.dashboard.stuck import explain
from validators.feed.rows import read_snapshot

__all__ = ["for_pages", "page_of", "snapshot", "stuck", "websocket_only"]

View = Callable[..., HttpResponse]

PAGES = (
    ("dashboard:page", "Live"),
    ("dashboard:nodes", "Nodes"),
    ("dashboard:network", "Network"),
    ("dashboard:tickets", "Tickets"),
    ("dashboard:simulator", "Simulator"),
    ("dashboard:metrics", "Metrics"),
)
"""Name of the address and of the page."""
NEEDED = {
    "nodes": frozenset({"admin"}),
    "tickets": frozenset({"operate", "gate", "admin"}),
    "simulator": frozenset({"admin"}),
}
"""Scopes of which one lets a person change something on a page; the API asks for the right one."""


def page_of(name: str, **context: Any) -> View:
    """The view of a page out of its template; what is on it comes from `snapshot`, the feed and the API. Who
    is not known is shown the way to log in, and what a person may not do is not offered."""

    @require_GET
    def view(request: HttpRequest) -> HttpResponse:
        caller = caller_of_person(request)
        if caller is None:
            return redirect_to_login(request.get_full_path())
        shown = {
            "title": name.capitalize(),
            "pages": PAGES,
            "known": caller.actor != ANYBODY.actor,
            "may_change": bool(NEEDED.get(name, frozenset()) & caller.scopes),
            "continues": _continues() if name == "nodes" else "",
        }
        return render(request, f"dashboard/{name}.html", shown | context)

    return view


def _continues() -> str:
    """What the cluster continues (R11); "" where it begins with nothing, or there is none."""
    try:
        return continues(gateway().genesis)
    except Unavailable:
        return ""


def for_pages(view: View) -> View:
    """Data of a page: 401 instead of a redirect, 503 while the database is locked, never cached."""

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
    """The log as of one sequence, and the nodes; the feed goes on from there."""
    nodes_as_of = time.time()
    nodes = describe_nodes()
    return JsonResponse(
        {
            "log": read_snapshot(),
            "nodes": nodes,
            "nodes_as_of": nodes_as_of,
            "cluster": describe_cluster(),
            "now": time.time(),
        }
    )


@require_GET
@for_pages
def stuck(request: HttpRequest) -> HttpResponse:
    """Why nothing is decided right now, or that all is well; asks every node."""
    return JsonResponse(explain())


def websocket_only(request: HttpRequest) -> HttpResponse:
    """A plain request to `/ws` (spec section 2)."""
    return JsonResponse({"error": "this address speaks WebSocket only"}, status=400)
