"""The report of forced and annulled entries of an event: who, when, at which gate, and why."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dtvn.api.rights import READ
from dtvn.api.times import in_zone
from dtvn.machine.fields import is_name
from tickets.pages.access import sentence_page, with_scope
from tickets.services import interventions, list_counts, lists
from validators import feed
from validators.dashboard.context import callers
from validators.dashboard.views import frame
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import event_zones, read
from validators.rest.http import OWN_WRITES_WAIT
from validators.rest.keys import Caller
from validators.services import network
from validators.services.api_keys import gates_of_keys

SHOWN_MAX = 200


@require_GET
@with_scope(by_event=True)
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The newest of the event `event`; the CSV has all."""
    event = request.GET.get("event", "")
    caller.rights.require(READ, event)
    try:
        sequence = feed.wait_for(network.acknowledged(), OWN_WRITES_WAIT)
        known = bool(sequence) and is_name(event) and event in read.list_events(LEARNER_ALIAS)
    except DatabaseError:
        known = False
    if not known:
        return sentence_page(request, caller, "There is no such event.", 404)
    row = read.event_row(LEARNER_ALIAS, event)
    zone, named, known_lists = (
        event_zones.zone_of(row),
        callers(caller.rights.events()),
        list_counts.lists_of(row),
    )
    found, more = interventions.newest(event, SHOWN_MAX)
    fixed = gates_of_keys({one.record.actor for one in found})
    context = frame(caller, "Events") | {
        "event": event,
        "event_name": (row.name if row else "") or event,
        "zone": zone.key,
        "rows": [
            {
                "at": f"{in_zone(one.record.timestamp, zone):%Y-%m-%d %H:%M:%S}",
                "place": f"{one.record.sequence}.{one.record.batch_index}",
                "forced": one.record.operation == "force",
                "ticket": one.record.ticket_id,
                "list": one.list,
                "list_name": lists.name_of(known_lists.get(one.list), one.list),
                "gate": one.gate,
                "claimed": one.gate and one.gate != fixed.get(one.record.actor),
                "device": one.device,
                "reason": one.reason,
                "who": _who(one.record.actor, named),
                "supervised": one.supervised,
                "taken": one.taken,
            }
            for one in found
        ],
        "more": more,
    }
    return render(request, "files/interventions.html", context)


def _who(actor: str, named: dict[str, Any]) -> str:
    return named.get(actor) or actor.removeprefix("user:")
