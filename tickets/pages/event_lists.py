"""One list of an event for the organiser: a form that adds, changes or takes it away."""

from __future__ import annotations

from datetime import tzinfo

import msgspec
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from dtvn.api.errors import InvalidRequest, ServiceError
from dtvn.machine.bodies import window_end
from dtvn.machine.fields import LABEL_LENGTH_MAX, MICROSECONDS, is_name, is_text
from dtvn.machine.lists import CAPACITY_MAX, ENTRIES_MAX, LISTS_MAX, MAIN_SLUG, EventList, list_in
from dtvn.machine.rows import EventRow
from tickets.pages import clocks
from tickets.pages.access import sentence_page, with_scope
from tickets.pages.events import SCOPE, SLUG_LENGTH_MAX, place
from tickets.services import events, list_counts
from validators import feed
from validators.dashboard.views import frame
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import event_zones, read
from validators.rest.http import OWN_WRITES_WAIT
from validators.rest.keys import Caller
from validators.services import network

RULES = (
    ("once", "once"),
    ("daily", "once a day"),
    ("times", "a number of times"),
    ("free", "without limit"),
)
Problems = dict[str, str]
"""Name of a field -> what is wrong with it; "" for the whole form."""


class Form(msgspec.Struct, frozen=True):
    """What the form holds, as it was typed."""

    slug: str = ""
    name: str = ""
    some: bool = False
    """Whether it takes the products of `products` only."""
    products: tuple[str, ...] = ()
    opens: str = ""
    """On the clocks of the event's zone, "" for no bound."""
    closes: str = ""
    rule: str = "once"
    times: str = ""
    returns: bool = False
    exit_first: bool = False
    capacity: str = ""
    as_of: str = ""
    """The place in the log of the event that the form was filled from."""


@require_http_methods(["GET", "POST"])
@with_scope(SCOPE, by_event=True)
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The form of the list `list` of the event `slug`, or of a new one; a POST saves it, or takes it away."""
    event, slug = request.GET.get("slug", ""), request.GET.get("list", "")
    caller.rights.require(SCOPE, event)
    try:
        sequence = feed.wait_for(network.acknowledged(), OWN_WRITES_WAIT)
        row = read.event_row(LEARNER_ALIAS, event) if sequence else None
        known = bool(sequence) and is_name(event) and event in read.list_events(LEARNER_ALIAS)
    except DatabaseError:
        return sentence_page(request, caller, "Nothing is here yet: start the network first.", 503)
    there = list_in(row.lists if row else (), slug) if slug else None
    if not known or (slug and there is None):
        return sentence_page(request, caller, "There is no such event, or it has no such list.", 404)
    if request.method == "GET":
        form = _form_of(there, row) if there else Form()
        return _page(request, caller, event, msgspec.structs.replace(form, as_of=place(event)), {})
    given = _given(request, slug)
    problems: Problems = {}
    listed = None if "take_away" in request.POST else _read(given, row, problems, adds=not slug)
    if listed is not None and there is not None and listed == msgspec.structs.replace(there, offsets=()):
        query = {"slug": event, "unchanged": slug}
        return redirect(f"{reverse('tickets:events')}?{urlencode(query)}#shown-title")
    if not problems:
        problems = _save(event, slug, listed, row, given.as_of, caller.actor)
    if problems:
        return _page(request, caller, event, given, problems)
    saved = slug if listed is None else listed.slug
    query = {"slug": event, "taken" if listed is None else "list_saved": saved}
    return redirect(f"{reverse('tickets:events')}?{urlencode(query)}#shown-title")


def _page(request: HttpRequest, caller: Caller, event: str, form: Form, problems: Problems) -> HttpResponse:
    row = read.event_row(LEARNER_ALIAS, event)
    changes = request.GET.get("list", "")
    known = [name for name, _admits in events.present(event).products]
    context = frame(caller, "Events") | {
        "event": event,
        "event_name": (row.name if row else "") or event,
        "zone": event_zones.zone_of(row).key,
        "form": form,
        "changes": changes,
        "is_main": changes == MAIN_SLUG,
        "known_products": [(name, name in form.products) for name in sorted({*known, *form.products})],
        "rules": RULES,
        "problems": problems,
        "sums": list_counts.count(event).lists.get(changes) if changes else None,
        "slug_max": SLUG_LENGTH_MAX,
        "label_max": LABEL_LENGTH_MAX,
        "times_max": ENTRIES_MAX,
        "capacity_max": CAPACITY_MAX,
    }
    status = 409 if "" in problems else 400 if problems else 200
    return render(request, "files/event_list.html", context, status=status)


# --- the form -------------------------------------------------------------------------------------


def _form_of(listed: EventList, row: EventRow | None) -> Form:
    zone = event_zones.zone_of(row)
    return Form(
        slug=listed.slug,
        name=listed.name,
        some=listed.products is not None,
        products=listed.products or (),
        opens=clocks.shown(listed.not_before, zone),
        closes=clocks.shown(listed.not_after, zone),
        rule=listed.rule,
        times=str(listed.times or ""),
        returns=listed.returns,
        exit_first=listed.exit_first,
        capacity=str(listed.capacity or ""),
    )


def _given(request: HttpRequest, slug: str) -> Form:
    def text(name: str) -> str:
        return request.POST.get(name, "").strip()

    return Form(
        slug=slug or text("list"),
        name=text("name"),
        some=text("takes") == "some",
        products=tuple(request.POST.getlist("product")),
        opens=text("opens"),
        closes=text("closes"),
        rule=text("rule"),
        times=text("times"),
        returns="returns" in request.POST,
        exit_first="exit_first" in request.POST,
        capacity=text("capacity"),
        as_of=text("as_of"),
    )


def _read(given: Form, row: EventRow | None, problems: Problems, *, adds: bool) -> EventList:
    """The list that was typed; what is wrong with a field is put into `problems`."""
    zone = event_zones.zone_of(row)
    if not is_name(given.slug) or len(given.slug) > SLUG_LENGTH_MAX:
        problems["list"] = "The short name must be 1 to 64 characters of A-Z a-z 0-9 . _ : -, a letter first."
    elif adds and list_in(row.lists if row else (), given.slug) is not None:
        problems["list"] = "The event has a list of this short name already."
    if len(given.name) > LABEL_LENGTH_MAX or not is_text(given.name):
        problems["name"] = (
            f"The name must have at most {LABEL_LENGTH_MAX} characters, without control characters."
        )
    if given.some and not given.products:
        problems["takes"] = "Tick at least one product, or let the list take all that admit."
    if given.rule not in dict(RULES):
        problems["rule"] = "Choose how often a guest may enter."
    times = _number("times", given.times, ENTRIES_MAX, problems) if given.rule == "times" else 0
    if given.rule == "times" and not times:
        problems.setdefault("times", "Say how often, at least 1.")
    opens, closes = _time("opens", given.opens, zone, problems), _time("closes", given.closes, zone, problems)
    if closes and closes < opens:
        problems["closes"] = "The list closes before it opens."
    return EventList(
        given.slug,
        given.name,
        tuple(sorted(set(given.products))) if given.some else None,
        opens * MICROSECONDS,
        window_end(closes),
        given.rule,  # type: ignore[arg-type]  # checked above
        times,
        given.returns,
        given.exit_first,
        _number("capacity", given.capacity, CAPACITY_MAX, problems),
    )


def _number(name: str, text: str, most: int, problems: Problems) -> int:
    """0 for nothing."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and int(text) <= most):
        problems[name] = f"This must be a whole number from 0 to {most:,}, or empty."
        return 0
    return int(text)


def _time(name: str, text: str, zone: tzinfo, problems: Problems) -> int:
    """Unix seconds, 0 for no bound."""
    try:
        return clocks.seconds(text, zone, "It")
    except InvalidRequest as error:
        problems[name] = str(error)
        return 0


def _save(
    event: str, slug: str, listed: EventList | None, row: EventRow | None, as_of: str, actor: str
) -> Problems:
    """Have the list `slug` ("": a new one) become `listed`, None: taken away; returns what was wrong."""
    written = {each.slug: each for each in (row.lists if row else ())}
    if as_of != place(event):
        return {"": "The event was changed meanwhile: open the list again, and look at it."}
    if listed is None:
        if slug == MAIN_SLUG:
            return {"": "The main entrance is there in every event: it cannot be taken away."}
        written.pop(slug, None)
    else:
        written[listed.slug] = listed
    if len(written) > LISTS_MAX:
        return {"": f"An event has at most {LISTS_MAX} lists."}
    try:
        decision = events.set_event(event, actor=actor, lists=written.values()).check()
    except ServiceError as error:
        return {"": str(error)}
    feed.wait_for(decision.result.sequence, OWN_WRITES_WAIT)
    return {}
