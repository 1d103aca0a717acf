"""Middleware of a follower's pages: it refuses what would change something, and tells its age each time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from dtvn.api.answers import failure
from dtvn.api.errors import SEQUENCE_HEADER, ApiError
from validators.rest.http import response_of
from validators.services.following import CODE, PAGES_OF_MEMBERS, freshness, not_here, read_only, state

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OWN = (
    "/admin/login/",
    "/admin/logout/",
    "/admin/password_change/",
    "/admin/auth/",
    "/admin/validators/apikey/",
    "/dashboard/key",
    "/dashboard/leave",
)
"""Beginnings of the addresses whose forms change this follower's own accounts and keys only."""
READS = re.compile(
    "/dashboard/tickets/found"
    "|/api/v1/tickets/find"
    "|/api/v1/members/preview"
    r"|/api/v1/events/runs/\d+/transcript"
)
"""Addresses at which a POST only reads: codes, names and salts stand in its body, and so in no access log."""
AGE_HEADER = "X-DTVN-Age"
"""Seconds since f + 1 members said that their logs were no longer than this copy; "unknown" if they never
did."""


class FollowerOnlyShows:
    """Answers 403 to what would change something, and at pages of the members; see the module."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """See Django."""
        response = self.get_response(request) if _may_pass(request) else _refused(request, read_only())
        found = freshness()
        response.headers[AGE_HEADER] = "unknown" if found.age is None else f"{found.age:.1f}"
        if response.headers.get(SEQUENCE_HEADER) == "0":  # that of what was ordered here: nothing ever is
            response.headers[SEQUENCE_HEADER] = str(found.sequence)
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """See Django: refuses pages that only a platform of the members has."""
        match = request.resolver_match
        of_members = match is not None and match.view_name in PAGES_OF_MEMBERS
        return _refused(request, not_here()) if of_members else None


def _may_pass(request: HttpRequest) -> bool:
    path = request.path_info
    if request.method in SAFE or path.startswith(OWN):
        return True
    return request.method == "POST" and READS.fullmatch(path) is not None


def _refused(request: HttpRequest, sentence: str) -> HttpResponse:
    if request.path_info.startswith("/api/") or "text/html" not in request.headers.get("Accept", ""):
        return response_of(failure(ApiError(403, CODE, sentence)))
    shown = {"sentence": sentence, "state": state()}
    return render(request, "follower.html", shown, status=403)
