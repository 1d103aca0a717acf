"""Events of tickets for the organiser: a list with counts, and a form that creates or changes one."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

import msgspec
from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from dtvn.api.errors import InvalidRequest, ServiceError
from dtvn.api.rights import READ
from dtvn.api.times import in_zone
from dtvn.machine import CAPABILITY, NAMES, State
from dtvn.machine.events import PRODUCTS_MAX
from dtvn.machine.fields import LABEL_LENGTH_MAX, is_name
from dtvn.machine.lists import LISTS_MAX, MAIN_SLUG
from tickets.models import check_zone
from tickets.pages import clocks
from tickets.pages.access import sentence_page, with_scope
from tickets.services import events, list_counts, lists
from tickets.services.event_gates import check_gates, gates_of, set_gates
from tickets.services.events import Products
from tickets.services.list_counts import Counts, ListSums
from validators import feed
from validators.dashboard.views import frame
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import event_zones, read
from validators.ledger.read import EventSummary
from validators.rest.http import OWN_WRITES_WAIT
from validators.rest.keys import Caller
from validators.services import network
from validators.services.following import is_follower

SCOPE = CAPABILITY["set_event"]
SLUG_LENGTH_MAX = 64
ROWS_FREE = 3
"""Empty rows for products below those that are known."""


class Form(msgspec.Struct, frozen=True):
    """What the form holds."""

    slug: str = ""
    name: str = ""
    zone: str = ""
    doors: str = ""
    """On the clocks of the event's zone, "" for none."""
    ids_are_codes: bool = False
    products: Products = ()
    gates: tuple[str, ...] = ()
    as_of: str = ""
    """See `_as_of`."""


@require_http_methods(["GET", "POST"])
@with_scope(by_event=True)
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The list; the form, of the event `slug` or of a new one; a POST saves it."""
    sequence = feed.wait_for(network.acknowledged(), OWN_WRITES_WAIT)
    slug = request.GET.get("slug", "")
    if slug:
        caller.rights.require(READ, slug)
    if request.method == "GET":  # perhaps before there is a ledger
        return _page(request, caller, _form_of(slug) if sequence and is_name(slug) else Form(), sequence)
    if is_follower():
        return sentence_page(request, caller, "A copy changes no events.", 403)
    given = _given(request)
    caller.rights.require(SCOPE, given.slug)
    if given.as_of and given == _form_of(given.slug):
        return redirect(f"{reverse('tickets:events')}?{urlencode({'unchanged': given.slug})}")
    try:
        _save(given, caller.actor, creates=not slug)
    except ServiceError as error:
        return _page(request, caller, given, sequence, problem=str(error), status=error.status)
    except DatabaseError:
        return sentence_page(request, caller, "Nothing is here yet: start the network first.", 503)
    return redirect(f"{reverse('tickets:events')}?{urlencode({'saved': given.slug})}")


def _page(
    request: HttpRequest, caller: Caller, form: Form, sequence: int, *, problem: str = "", status: int = 200
) -> HttpResponse:
    every = read.summarise_events(LEARNER_ALIAS) if sequence else []
    known = [one for one in every if caller.rights.may(READ, one.event)]
    saved = request.GET.get("saved", "")
    asked = request.GET.get("slug", "")
    own = caller.rights.events(SCOPE)
    may_create = own is None or not own <= {one.event for one in known}
    shown = next((_listed(one) for one in known if one.event == asked), None)
    context = frame(caller, "Events") | {
        "events": [
            _listed(one) | {"change": caller.rights.may(SCOPE, one.event) and not is_follower()}
            for one in known
        ],
        "shown": shown,
        **(_counted(shown, request.GET.get("list", MAIN_SLUG)) if shown else {}),
        "form": form,
        "changes": bool(request.GET.get("slug")) and request.GET["slug"] == form.slug,
        "rows": [*form.products, *[("", True)] * ROWS_FREE][:PRODUCTS_MAX],
        "zones": _zones(form.zone),
        "platform_zone": event_zones.zone_of(None).key,
        "slug_max": SLUG_LENGTH_MAX,
        "label_max": LABEL_LENGTH_MAX,
        "may_change": (caller.rights.may(SCOPE, asked) if asked else may_create) and not is_follower(),
        "may_link": {SCOPE, CAPABILITY["admit"]} <= caller.rights.at(asked) and not is_follower(),
        "some_change": caller.rights.has(SCOPE) and not is_follower(),
        "saved": saved if saved in {one.event for one in known} else "",
        "unchanged": _named(request, "unchanged"),
        "list_saved": _named(request, "list_saved"),
        "taken": _named(request, "taken"),
        "problem": problem,
    }
    return render(request, "files/events.html", context, status=status)


def _named(request: HttpRequest, name: str) -> str:
    """The short name in a parameter, "" for anything else."""
    text = request.GET.get(name, "")
    return text if is_name(text) else ""


def _counted(event: dict[str, Any], wanted: str) -> dict[str, Any]:
    """What happened on the lists of the event, and on the one that is `wanted` by product and gate."""
    slug = event["slug"]
    row = read.event_row(LEARNER_ALIAS, slug)
    known, zone = list_counts.lists_of(row), event_zones.zone_of(row)
    counts = list_counts.count(slug)
    sums = counts.lists
    chosen = wanted if wanted in sums else MAIN_SLUG
    return {
        "lists": [
            {
                "slug": name,
                "name": lists.name_of(known.get(name), name),
                "words": lists.in_words(known[name], zone) if name in known else "",
                "sums": sums[name],
            }
            for name in sorted(sums, key=lambda name: (name not in known, name))
        ],
        "chosen": chosen,
        "chosen_name": lists.name_of(known.get(chosen), chosen),
        "by_product": _products(event, counts, sums[chosen]),
        "by_gate": sorted(sums[chosen].gates.items()),
        "older": sums[chosen].older,
        "used_up": counts.used_up,
        "on_site": counts.on_site,
        "gates": gates_of(slug),
        "blocked_inside": counts.blocked_inside,
        "may_add_list": len(row.lists if row else ()) < LISTS_MAX,
    }


def _products(event: dict[str, Any], counts: Counts, sums: ListSums) -> list[dict[str, Any]]:
    """The tickets by product, each with whether it admits and what happened on the list."""
    admits = {product["name"]: product["admits"] for product in event["products"]}
    return [
        {
            "name": each.name,
            "admits": admits.get(each.name, not event["declared"] or not each.name),
            "tickets": each.tickets,
            "blocked": each.blocked,
            "sums": sums.products[each.name],
        }
        for _name, each in sorted(counts.products.items())
    ]


def _zones(present: str) -> list[tuple[str, str]]:
    """Those to choose from; the present one stays, whatever it is called."""
    found = clocks.by_city()
    known = not present or any(zone == present for zone, _words in found)
    return found if known else [(present, clocks.city_of(present)), *found]


def _listed(one: EventSummary) -> dict[str, Any]:
    doors = one.row.doors if one.row is not None else 0
    zone = event_zones.zone_of(one.row)
    opens = f"{in_zone(doors, zone):%Y-%m-%d %H:%M} {zone.key}" if doors else ""
    main = list_counts.lists_of(one.row)[MAIN_SLUG]
    return events.shown(one) | {
        "total": sum(one.tickets.values()),
        "opens": opens,
        # On a daily list the states of tickets tell of another day, and counting entries reads all tickets.
        "used_up": None if main.rule == "daily" else one.tickets[NAMES[State.CONSUMED]],
    }


# --- the form -------------------------------------------------------------------------------------


def _form_of(slug: str) -> Form:
    """The form of an event as it is now."""
    known, row = events.present(slug), read.event_row(LEARNER_ALIAS, slug)
    zone = event_zones.zone_of(row)
    return Form(
        slug=slug,
        name=known.name,
        zone=known.zone,
        doors=clocks.shown(known.doors, zone),
        ids_are_codes=known.ids_are_codes,
        products=known.products,
        gates=gates_of(slug),
        as_of=_as_of(slug),
    )


def _as_of(slug: str) -> str:
    """Marks what a form was filled from: the event in the log, and its gates; "" for an event that was not
    created yet and names none."""
    gates = gates_of(slug)
    return place(slug) + (f"-{crc32(chr(10).join(gates).encode()):x}" if gates else "")


def place(slug: str) -> str:
    """Of the newest change of an event in the log, "" if it was not created: what a form was filled from."""
    row = read.event_row(LEARNER_ALIAS, slug)
    return f"{row.sequence}.{row.index}" if row is not None and row.declared else ""


def _given(request: HttpRequest) -> Form:
    """What was sent, as it was typed; products without a name are left out."""
    names, admits = request.POST.getlist("product"), set(request.POST.getlist("admits"))
    named = ((name.strip(), str(number) in admits) for number, name in enumerate(names))
    return Form(
        slug=request.POST.get("slug", "").strip(),
        name=request.POST.get("name", "").strip(),
        zone=request.POST.get("zone", ""),
        doors=request.POST.get("doors", ""),
        ids_are_codes="ids_are_codes" in request.POST,
        products=tuple(product for product in named if product[0]),
        gates=tuple(filter(None, map(str.strip, request.POST.get("gates", "").splitlines()))),
        as_of=request.POST.get("as_of", ""),
    )


def _save(given: Form, actor: str, *, creates: bool) -> None:
    """Have the event created or changed; raises ServiceError."""
    if not is_name(given.slug) or len(given.slug) > SLUG_LENGTH_MAX:
        raise InvalidRequest(
            "The short name must be 1 to 64 characters of A-Z a-z 0-9 . _ : -, a letter or digit first."
        )
    if given.as_of != _as_of(given.slug):
        text = (
            "There is already an event of this short name." if creates else "The event was changed meanwhile."
        )
        raise ServiceError(f"{text} Open it from the list below.", status=409)
    names = [name for name, _admits in given.products]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidRequest(f"The product {twice!r} is in the list twice: leave one of them out.")
    check_gates(given.gates)
    before = _form_of(given.slug)
    if creates or msgspec.structs.replace(given, gates=before.gates) != before:
        _order(given, actor)
    if given.gates != before.gates:
        set_gates(given.slug, given.gates)


def _order(given: Form, actor: str) -> None:
    """Have the log's part of an event created or changed; raises ServiceError."""
    decision = events.set_event(
        given.slug,
        actor=actor,
        name=given.name,
        zone=given.zone,
        doors=clocks.microseconds(given.doors, _zone(given.zone), "The doors"),
        ids_are_codes=given.ids_are_codes,
        products=given.products,
    ).check()
    feed.wait_for(decision.result.sequence, OWN_WRITES_WAIT)


def _zone(name: str) -> tzinfo:
    if not name:
        return event_zones.zone_of(None)
    try:
        check_zone(name)
    except ValidationError as error:
        raise InvalidRequest(f"zone: {error.message}") from error
    return ZoneInfo(name)
