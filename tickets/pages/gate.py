"""The page of a person at a gate: one field for codes, and the answer to the scan."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from dtvn.api.times import in_zone
from dtvn.machine import CAPABILITY
from dtvn.machine.fields import NAME_LENGTH_MAX, REASON_LENGTH_MAX
from dtvn.machine.kinds import KINDS
from dtvn.machine.lists import DAY, MAIN_SLUG
from dtvn.machine.rows import EventRow
from tickets.pages.access import BY_LINK, with_scope
from tickets.services import patience
from tickets.services.event_gates import gates_by_event
from validators import feed
from validators.dashboard.views import frame
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.event_zones import zone_of
from validators.rest.http import OWN_WRITES_WAIT
from validators.rest.keys import Caller, caller_of_person
from validators.services import network
from validators.services.cluster_state import cluster_state

SCOPE = CAPABILITY["admit"]
FORCES = {SCOPE, CAPABILITY["force"]}
"""Scopes that letting somebody in against the rules, and annulling what others did, need."""
STAYS = (5, 10, 20, 30, 60)
"""Seconds for which an answer may keep its colour; the page begins with 10 (gate-showing.js)."""
NEXT_MAX = 12
"""Events that are offered by name; the others stand behind *All events*."""


@require_GET
@with_scope(SCOPE, by_event=True, stewards=True)
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The page; scans are asked and answered by the API."""
    unread: list[dict[str, Any]] = []
    events = patience.copy.read(lambda: _events(caller), unread)
    context = frame(caller, "Gate") | {
        "admit": _path("admit"),
        "annul": _path("annul"),
        "by_link": BY_LINK in request.COOKIES and caller.is_steward,
        "force": _path("force") if any(each["force"] for each in events) else "",
        "events": events,
        "found": reverse("tickets:guests"),
        "gates": "" if caller.is_steward else reverse("dashboard:gates"),
        "next_events": _next(events) or events,
        "stays": STAYS,
        "name_max": NAME_LENGTH_MAX,
        "reason_max": REASON_LENGTH_MAX,
    }
    return render(request, "dashboard/gate.html", context)


@require_GET
def state(request: HttpRequest) -> HttpResponse:
    """Level and sentence of the cluster's state, for a login that may not have the feed of all events."""
    caller = caller_of_person(request)
    if caller is None or not caller.rights.has(SCOPE):
        return JsonResponse({"error": "log in first"}, status=401)
    found = cluster_state()
    told = {"level": found.level, "sentence": found.sentence}
    return JsonResponse(told, headers={"Cache-Control": "no-store"})


def _path(kind: str) -> str:
    """Of an operation in the API."""
    return KINDS[kind].path.removeprefix("/api/v1")


def _events(caller: Caller) -> list[dict[str, Any]]:
    """Slug, name, zone, gates and lists of the events that this caller may choose, of the lists those that it
    may scan for; `when` the doors open, and `ends`, Unix microseconds, both falsy if it is not said. None
    before there is a ledger."""
    if not feed.wait_for(network.acknowledged(), OWN_WRITES_WAIT):
        return []
    rows = read.event_rows(LEARNER_ALIAS)
    known = caller.rights.seen(read.list_events(LEARNER_ALIAS), SCOPE)
    nothing: dict[str, list[str]] = {}
    gates = patience.platform.read(gates_by_event, nothing)
    return [
        _event(slug, rows.get(slug), caller.rights.lists(SCOPE, slug))
        | {
            "gates": [caller.gate] if caller.gate else gates.get(slug, []),
            "force": caller.rights.at(slug) >= FORCES,
        }
        for slug in known
    ]


def _event(slug: str, row: EventRow | None, only: frozenset[str]) -> dict[str, Any]:
    lists = [each for each in (row.lists if row is not None else ()) if not only or each.slug in only]
    zone, doors = zone_of(row), row.doors if row is not None else 0
    return {
        "slug": slug,
        "name": (row.name if row is not None else "") or slug,
        "zone": str(zone),
        "when": f"{in_zone(doors, zone):%Y-%m-%d %H:%M}" if doors else "",
        "ends": max([doors + DAY, *(each.not_after for each in lists)]) if doors else 0,
        "main": not only or MAIN_SLUG in only,
        "lists": [{"slug": each.slug, "name": each.name} for each in lists],
    }


def _next(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Today's and the next of these events by their doors: an event lasts a day, or as long as its lists."""
    now = time.time_ns() // 1_000
    found = [each for each in events if each["ends"] >= now]
    return sorted(found, key=lambda each: each["when"])[:NEXT_MAX]
