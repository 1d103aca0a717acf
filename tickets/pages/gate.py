"""The page of a person at a gate: one field for codes, and the answer to the scan."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dtvn.machine import CAPABILITY
from dtvn.machine.fields import NAME_LENGTH_MAX
from dtvn.machine.kinds import ACTS
from tickets.pages.access import with_scope
from tickets.services import patience
from validators import feed
from validators.dashboard.views import frame
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.rest.http import OWN_WRITES_WAIT
from validators.rest.keys import Caller
from validators.services import network

SCOPE = CAPABILITY["admit"]


@require_GET
@with_scope(SCOPE)
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The page; scans are asked and answered by the API."""
    unread: list[dict[str, str]] = []
    context = frame(caller, "Gate") | {
        "actor": caller.actor,
        "admit": ACTS["admit"][0].path.removeprefix("/api/v1"),
        "events": patience.copy.read(_events, unread),
        "name_max": NAME_LENGTH_MAX,
    }
    return render(request, "dashboard/gate.html", context)


def _events() -> list[dict[str, str]]:
    """Slug and name of the events that may be chosen; none before there is a ledger."""
    if not feed.wait_for(network.acknowledged(), OWN_WRITES_WAIT):
        return []
    rows = read.event_rows(LEARNER_ALIAS)
    named = {slug: row.name for slug, row in rows.items()}
    return [{"slug": slug, "name": named.get(slug) or slug} for slug in read.list_events(LEARNER_ALIAS)]
