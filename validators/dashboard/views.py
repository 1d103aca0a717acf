"""The live page, the snapshot it starts from, and why the cluster does not move."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from validators.dashboard.nodes import cluster_status, describe_nodes
from validators.dashboard.stuck import explain
from validators.feed.rows import LATEST_MAX, RATE_SECONDS, read_snapshot

__all__ = ["page", "snapshot", "stuck", "websocket_only"]

View = Callable[[HttpRequest], HttpResponse]


@login_required
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The dashboard; everything on it comes from `snapshot` and the feed."""
    return render(request, "dashboard/page.html", {"latest_max": LATEST_MAX, "rate_seconds": RATE_SECONDS})


def _for_pages(view: View) -> View:
    """Data of a page: 401 instead of a redirect, 503 while the database is locked, never cached."""

    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return JsonResponse({"error": "log in first"}, status=401)
        try:
            response = view(request)
        except DatabaseError as error:
            return JsonResponse({"error": str(error)}, status=503, headers={"Retry-After": "1"})
        response.headers["Cache-Control"] = "no-store"
        return response

    return answer


@require_GET
@_for_pages
def snapshot(request: HttpRequest) -> HttpResponse:
    """The log as of one sequence, and the nodes; the feed goes on from there."""
    nodes_as_of = time.time()
    nodes = describe_nodes()
    return JsonResponse(
        {
            "log": read_snapshot(),
            "nodes": nodes,
            "nodes_as_of": nodes_as_of,
            "cluster": cluster_status(nodes),
            "now": time.time(),
        }
    )


@require_GET
@_for_pages
def stuck(request: HttpRequest) -> HttpResponse:
    """Why nothing is decided right now, or that all is well; asks every node."""
    return JsonResponse(explain())


def websocket_only(request: HttpRequest) -> HttpResponse:
    """A plain request to `/ws` (spec section 2)."""
    return JsonResponse({"error": "this address speaks WebSocket only"}, status=400)
