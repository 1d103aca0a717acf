"""Links for stewards of one event: made, shown once with a QR code, listed, and taken back.

A link is an API key with the scope of gates, for this event and its lists, with an end; its secret stands
behind the # of the address (steward_login). Taking it back ends its sessions at once.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any
from urllib.parse import urlsplit

import msgspec
import segno
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from dtvn.api.errors import InvalidRequest
from dtvn.api.rights import Grant
from dtvn.machine import CAPABILITY
from dtvn.machine.fields import MICROSECONDS, is_name, is_text
from dtvn.machine.lists import MAIN_SLUG
from dtvn.machine.rows import EventRow
from tickets.pages import clocks
from tickets.pages.access import sentence_page, with_scope
from tickets.services import list_counts, lists
from tickets.services.event_gates import gates_of
from validators.dashboard.context import callers
from validators.dashboard.views import frame
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import event_zones, read
from validators.models import ApiKey
from validators.rest.keys import Caller
from validators.services.api_keys import generate_api_key, revoke_api_key, store_api_key
from validators.services.following import is_follower
from validators.services.teams import team_with

CHANGE, ADMIT = CAPABILITY["set_event"], CAPABILITY["admit"]
LABEL_LENGTH_MAX = TEAM_NAME_LENGTH_MAX = 100
LASTS_MAX = timedelta(days=366)
"""From now or, if that is later, from the doors on."""
DAY_ENDS = time(6)
"""Of the morning after: guests of a night come in past midnight."""
LISTED_MAX = 200
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
Problems = dict[str, str]
"""Name of a field -> what is wrong with it."""


class Form(msgspec.Struct, frozen=True):
    """What the form holds, as it was typed."""

    label: str = ""
    some: bool = False
    """Whether it is for the lists of `lists` only."""
    lists: tuple[str, ...] = ()
    gate: str = ""
    """"": stewards choose it."""
    ends: str = ""
    """On the clocks of the event's zone."""


@require_http_methods(["GET", "POST"])
@with_scope(CHANGE, by_event=True)
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The links of the event `slug`; a POST makes one, or takes one back (`revoke`: its number)."""
    event = request.GET.get("slug", "")
    caller.rights.require(CHANGE, event)
    if not caller.rights.may(ADMIT, event) or is_follower():
        text = "Links for stewards are made by organisers who may scan themselves, never on a copy."
        return sentence_page(request, caller, text, 403)
    own = caller.rights.lists(ADMIT, event)
    try:
        known = is_name(event) and event in read.list_events(LEARNER_ALIAS)
        row = read.event_row(LEARNER_ALIAS, event) if known else None
    except DatabaseError:
        return sentence_page(request, caller, "Nothing is here yet: start the network first.", 503)
    if not known:
        return sentence_page(request, caller, "There is no such event.", 404)
    zone = event_zones.zone_of(row)
    if request.method == "GET":
        form = Form(some=bool(own), ends=f"{default_end(row, zone):%Y-%m-%dT%H:%M}")
        return _page(request, caller, event, row, form, {})
    if "revoke" in request.POST:
        return _revoke(request, caller, event)
    given = Form(
        label=request.POST.get("label", "").strip(),
        some=request.POST.get("for") == "some",
        lists=tuple(sorted(set(request.POST.getlist("list")))),
        gate=request.POST.get("gate", ""),
        ends=request.POST.get("ends", ""),
    )
    problems: Problems = {}
    if given.gate and given.gate not in gates_of(event):
        problems["gate"] = "The event names no such gate."
    ends = _check(given, _offered(row, own), row, zone, problems)
    if problems:
        return _page(request, caller, event, row, given, problems)
    plain, lists_of_link = generate_api_key(), frozenset(given.lists) if given.some else own
    grant = Grant(frozenset({ADMIT}), frozenset({event}), lists_of_link, caller.rights.products(ADMIT, event))
    if not caller.rights.includes(grant, event):
        text = "This link would scan more than you may. Tick the lists that you may scan for."
        return sentence_page(request, caller, text, 403)
    team = team_with(grant, f"Stewards of {event}"[:TEAM_NAME_LENGTH_MAX])
    store_api_key(plain, label=given.label, team=team, expires_at=ends, made_by=caller.actor, gate=given.gate)
    link = f"{request.build_absolute_uri(reverse('tickets:link'))}#{plain}"
    context = frame(caller, "Events") | {
        "event": event,
        "event_name": _name(row, event),
        "label": given.label,
        "ends": f"{ends.astimezone(zone):%Y-%m-%d %H:%M}",
        "zone": event_zones.zone_of(row).key,
        "link": link,
        "qr": segno.make(link, error="m", micro=False).svg_data_uri(scale=6, light="#fff", dark="#000"),
        "local": urlsplit(link).hostname in LOCAL,
    }
    return render(request, "files/steward_link.html", context)


def default_end(row: EventRow | None, zone: tzinfo) -> datetime:
    """The morning after the doors open, or after today if that is past, on the clocks of `zone`."""
    doors = row.doors // MICROSECONDS if row is not None else 0
    day = datetime.fromtimestamp(max(doors, timezone.now().timestamp()), UTC).astimezone(zone).date()
    return datetime.combine(day + timedelta(days=1), DAY_ENDS, zone)


def _offered(row: EventRow | None, own: frozenset[str]) -> dict[str, str]:
    """Short name -> name of the lists that may be given away. `own`: the only ones of the caller; none:
    all."""
    known = list_counts.lists_of(row)
    names = sorted(known, key=lambda slug: (slug != MAIN_SLUG, slug))
    return {slug: lists.name_of(known[slug], slug) for slug in names if slug in (own or known)}


def _check(
    given: Form, offered: dict[str, str], row: EventRow | None, zone: tzinfo, problems: Problems
) -> datetime:
    """The end of the link; what is wrong with a field is put into `problems`."""
    if not (given.label and len(given.label) <= LABEL_LENGTH_MAX and is_text(given.label)):
        problems["label"] = f"Say whom or what it is for, in at most {LABEL_LENGTH_MAX} characters."
    if given.some and not given.lists:
        problems["for"] = "Tick at least one list."
    elif given.some and not set(given.lists) <= offered.keys():
        problems["for"] = "The event has no such list, or you may not scan for it."
    now = timezone.now()
    try:
        ends = datetime.fromtimestamp(clocks.seconds(given.ends, zone, "The end"), UTC)
    except InvalidRequest as error:
        problems["ends"] = str(error)
        return now
    if ends <= now:
        problems["ends"] = "The end must be after now."
    elif ends > max(now, default_end(row, zone)) + LASTS_MAX:
        problems["ends"] = "A link lasts for at most a year after the doors open."
    return ends


def _revoke(request: HttpRequest, caller: Caller, event: str) -> HttpResponse:
    number = request.POST["revoke"]
    plain = number.isascii() and number.isdigit() and len(number) <= 18
    key = _links(event).filter(pk=int(number)).first() if plain else None
    if key is None:
        return sentence_page(request, caller, "This event has no such link.", 404)
    revoke_api_key(key)
    query = {"slug": event, "revoked": key.pk}
    return redirect(f"{reverse('tickets:stewards')}?{urlencode(query)}")


def _links(event: str) -> Any:
    return (
        ApiKey.objects.filter(team__events=[event], team__all_events=False)
        .exclude(made_by="")
        .select_related("team")
    )


def _page(
    request: HttpRequest, caller: Caller, event: str, row: EventRow | None, form: Form, problems: Problems
) -> HttpResponse:
    zone, now, names = event_zones.zone_of(row), timezone.now(), callers(caller.rights.events())
    own = caller.rights.lists(ADMIT, event)
    found = list(_links(event)[:LISTED_MAX])

    def shown(at: datetime | None) -> str:
        return "" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M}"

    context = frame(caller, "Events") | {
        "event": event,
        "event_name": _name(row, event),
        "zone": zone.key,
        "form": form,
        "gates": gates_of(event),
        "offered": [(slug, name, slug in form.lists) for slug, name in _offered(row, own).items()],
        "may_all": not own,
        "problems": problems,
        "label_max": LABEL_LENGTH_MAX,
        "revoked": next((key for key in found if str(key.pk) == request.GET.get("revoked")), None),
        "links": [
            {
                "key": key,
                "maker": names.get(key.made_by, key.made_by.removeprefix("user:")),
                "made": shown(key.created_at),
                "used": shown(key.last_used_at),
                "ends": shown(key.expires_at),
                "over": key.expires_at is not None and key.expires_at <= now,
            }
            for key in found
        ],
    }
    return render(request, "files/steward_links.html", context, status=400 if problems else 200)


def _name(row: EventRow | None, event: str) -> str:
    return (row.name if row is not None else "") or event
