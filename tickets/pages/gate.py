"""The page of a person at a gate: one field for codes, and the answer to the scan."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dtvn.machine import CAPABILITY
from dtvn.machine.fields import NAME_LENGTH_MAX, REASON_LENGTH_MAX
from dtvn.machine.kinds import KINDS
from dtvn.machine.lists import MAIN_SLUG
from dtvn.machine.rows import EventRow
from tickets.pages.access import with_scope
from tickets.services import patience
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


@require_GET
@with_scope(SCOPE, one_event=True)
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The page; scans are asked and answered by the API."""
    unread: list[dict[str, Any]] = []
    context = frame(caller, "Gate") | {
        "admit": _path("admit"),
        "annul": _path("annul"),
        "force": _path("force") if caller.scopes >= FORCES else "",
        "events": patience.copy.read(lambda: _events(caller), unread),
        "name_max": NAME_LENGTH_MAX,
        "reason_max": REASON_LENGTH_MAX,
    }
    return render(request, "dashboard/gate.html", context)


@require_GET
def state(request: HttpRequest) -> HttpResponse:
    """Level and sentence of the cluster's state, for a login that may not have the feed of all events."""
    caller = caller_of_person(request, one_event=True)
    if caller is None or SCOPE not in caller.scopes:
        return JsonResponse({"error": "log in first"}, status=401)
    found = cluster_state()
    told = {"level": found.level, "sentence": found.sentence}
    return JsonResponse(told, headers={"Cache-Control": "no-store"})


def _path(kind: str) -> str:
    """Of an operation in the API."""
    return KINDS[kind].path.removeprefix("/api/v1")


def _events(caller: Caller) -> list[dict[str, Any]]:
    """Slug, name, zone and lists of the events that this caller may choose, of the lists those that it may
    scan for; none before there is a ledger."""
    if not feed.wait_for(network.acknowledged(), OWN_WRITES_WAIT):
        return []
    rows = read.event_rows(LEARNER_ALIAS)
    known = read.list_events(LEARNER_ALIAS)
    return [_event(slug, rows.get(slug), caller.lists) for slug in known if caller.only_event in ("", slug)]


def _event(slug: str, row: EventRow | None, only: frozenset[str]) -> dict[str, Any]:
    lists = [each for each in (row.lists if row is not None else ()) if not only or each.slug in only]
    return {
        "slug": slug,
        "name": (row.name if row is not None else "") or slug,
        "zone": str(zone_of(row)),
        "main": not only or MAIN_SLUG in only,
        "lists": [{"slug": each.slug, "name": each.name} for each in lists],
    }
