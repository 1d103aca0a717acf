"""The tickets page, and its data: a part of a search, and one ticket with its history."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from dtvn.api.errors import InvalidRequest, ServiceError, not_found
from dtvn.api.queries import read_event, read_words
from dtvn.api.rights import READ
from dtvn.machine import CAPABILITY, State
from dtvn.machine.bodies import BARCODE_LENGTH_MAX
from dtvn.machine.codes import CodeError
from dtvn.machine.fields import REASON_LENGTH_MAX, is_name
from dtvn.machine.kinds import ACTS, Act, Kind
from tickets.pages import ticket_facts, ticket_history
from tickets.pages.access import may_see_addresses, may_see_names, with_scope
from tickets.pages.ticket_facts import Facts
from tickets.services import codes, hints
from tickets.services.search import Found, Key, Search, Sees, by_keys, folded, search, state_of_row
from validators import feed
from validators.dashboard.views import for_pages, frame
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.models import OperationRecord, Ticket
from validators.rest.http import OWN_WRITES_WAIT
from validators.rest.keys import Caller
from validators.services import network
from validators.services.following import is_follower
from validators.services.teams import NAMES_SEEN_WITH

PAGE_SIZE = 50
SELECTED_MAX = 10_000
"""Tickets that the page keeps selected; it says so if there are more."""
PART_SIZE = 50
"""Operations on selected tickets in one request."""
HISTORY_MAX = 50
"""Operations of a ticket that the page shows, the newest first."""
BLOCKED = "blocked"
BLOCKED_INSIDE = "blocked_inside"
"""Filters beside the states: blocked tickets in whatever state, all or those of which somebody is inside."""
PLAIN_TITLES = {"validate": "Check only"}
PLAIN_PASTS = {"validate": ("checked", ""), "clear": ("cleared", "it admits again")}
"""Words for acts where those of the contract say nothing to people."""
CODES_LOOK_ALIKE_IN = 20
"""Events that a code which was not found is compared in, unless one is chosen."""


@require_GET
@with_scope(by_event=True)
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The page; its content comes from `found`, `one`, the feed and the API."""
    acts = [(name, ACTS[name][1]) for name in ticket_facts.offered(caller)]
    context = frame(caller, "Tickets") | {
        "may_seed": not is_follower() and caller.rights.may(CAPABILITY["seed"], None),
        "acts": [(name, _title(act)) for name, act in acts],
        "acts_on_many": [(name, _title(act)) for name, act in acts if not act.inputs],
        "may_admit": "admit" in dict(acts),
        "by_enter": "admit" if "admit" in dict(acts) else next(iter(dict(acts)), ""),
        "may_validate": "validate" in dict(acts),
        "words_of_acts": {name: _words(kind, act) for name, (kind, act) in ACTS.items()},
        "sees_holders": caller.rights.has(*NAMES_SEEN_WITH),
        "text_max": BARCODE_LENGTH_MAX,
        "reason_max": REASON_LENGTH_MAX,
        "page_size": PAGE_SIZE,
        "part_size": PART_SIZE,
        "selected_max": SELECTED_MAX,
    }
    return render(request, "dashboard/tickets.html", context)


def _data(view: Callable[[HttpRequest, Caller], HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorator of the page's data: for_pages; errors of services become JSON."""

    @for_pages(by_event=True)
    @wraps(view)
    def answer(request: HttpRequest, caller: Caller) -> HttpResponse:
        try:
            return view(request, caller)
        except ServiceError as error:
            return JsonResponse({"error": str(error)}, status=error.status)

    return answer


@require_POST
@_data
def found(request: HttpRequest, caller: Caller) -> HttpResponse:
    """A part of the tickets that `q`, `event` and `state` select, after `after` (event/ticket id); before the
    first, apart, those of which `q` is a code, and `ticket`. A POST, so that codes stand in no URL and no
    access log."""
    event = read_event({"event": request.POST["event"]}) if request.POST.get("event") else None
    if event is not None:
        caller.rights.require(READ, event)
    text, after = request.POST.get("q", "").strip(), _key(request, "after")
    sees = partial(may_see_names, caller)
    sequence = feed.wait_for(network.acknowledged(), OWN_WRITES_WAIT)
    if not sequence:  # there may be no ledger yet
        return JsonResponse({"sequence": 0, "tickets": [], "after": None, "total": 0, "events": []})
    readable = caller.rights.seen(read.list_events(LEARNER_ALIAS))
    events = readable if event is None else [event]
    coded = _with_code(text, events) if text and after == ("", "") else []
    try:
        words = read_words(text)
    except InvalidRequest:
        if not coded:
            raise
        words = None  # a code that is longer than any words
    wanted = _wanted(request, tuple(map(folded, words or ())), tuple(events))
    part = Found([], {}, None)
    if words is not None:
        addresses = partial(may_see_addresses, caller)
        part = search(
            LEARNER_ALIAS, wanted, limit=PAGE_SIZE, after=after, with_holders=sees, with_addresses=addresses
        )
    facts = Facts(caller)
    answer = {
        "sequence": sequence,
        "tickets": [facts.row(row, part) for row in part.tickets],
        "after": "/".join(part.after) if part.after else None,
        "total": _total(wanted),
        "events": readable,
    }
    if request.POST.get("ticket") and after == ("", ""):
        key = _key(request, "ticket")
        caller.rights.require(READ, key[0])
        named = by_keys(LEARNER_ALIAS, [key], with_holders=sees)
        answer["named"] = [facts.row(row, named) for row in named.tickets]
    if coded:
        answer["by_code"] = _shown_coded(coded, facts, sees=sees)
    elif text and not part.tickets and not after[0] and hints.allowed(caller.actor, caller.rights, event):
        answer["hint"] = _hint(text, events, caller)
    return JsonResponse(answer)


def _wanted(request: HttpRequest, words: tuple[str, ...], events: tuple[str, ...]) -> Search:
    state = request.POST.get("state")
    blocked = state in (BLOCKED, BLOCKED_INSIDE)
    return Search(
        words, events, None if blocked else _state(request), blocked, inside=state == BLOCKED_INSIDE
    )


@require_GET
@_data
def one(request: HttpRequest, caller: Caller) -> HttpResponse:
    """One ticket (`event`, `ticket`): all its fields and its newest operations, refusals included."""
    event, ticket_id = read_event({"event": request.GET.get("event", "")}), request.GET.get("ticket", "")
    caller.rights.require(READ, event)
    sequence = feed.wait_for(network.acknowledged(), OWN_WRITES_WAIT)
    row = read.read_ticket(LEARNER_ALIAS, event, ticket_id) if sequence and is_name(ticket_id) else None
    if row is None:
        raise not_found()
    newest = OperationRecord.objects.filter(event=event, ticket_id=ticket_id).order_by("-id")
    records = list(newest[: HISTORY_MAX + 1])
    facts = Facts(caller)
    holder = ticket_facts.of_holder(caller, row) if may_see_names(caller, event) else []
    return JsonResponse(
        {
            "sequence": sequence,
            "facts": [*facts.of_ticket(row), *holder],
            "terms": facts.terms(row),
            "state": state_of_row(row).name.lower(),
            "acts": facts.acts(row),
            "history": ticket_history.history(row, records[:HISTORY_MAX]),
            "more": len(records) > HISTORY_MAX,
        }
    )


# --- codes ----------------------------------------------------------------------------------------


def _with_code(text: str, events: list[str]) -> list[tuple[Key, bool]]:
    """(key of the ticket, whether the code was replaced) of each ticket with this code."""
    return [((event, ticket), revoked) for event, ticket, revoked in codes.tickets_with(text, events)]


def _shown_coded(coded: list[tuple[Key, bool]], facts: Facts, *, sees: Sees) -> list[dict[str, Any]]:
    part = by_keys(LEARNER_ALIAS, [key for key, _revoked in coded], with_holders=sees)
    replaced = dict(coded)
    rows = ((row, replaced[row.event, row.ticket]) for row in part.tickets)
    return [facts.row(row, part, by_code=not revoked) | {"code_replaced": revoked} for row, revoked in rows]


def _hint(text: str, events: list[str], caller: Caller) -> str:
    """What the text, which is no code, may be meant to be; "" without a likely one."""
    shown = partial(caller.rights.may, CAPABILITY["block"])
    try:
        found = filter(
            None, (hints.about(each, text, shown=shown(each)) for each in events[:CODES_LOOK_ALIKE_IN])
        )
        return next((hint.sentence for hint in found), "")
    except CodeError:
        return ""


# --- parameters -----------------------------------------------------------------------------------


def _state(request: HttpRequest) -> State | None:
    name = request.POST.get("state", "")
    known = {state.name.lower(): state for state in State}
    if name and name not in known:
        raise InvalidRequest(f"state must be one of {', '.join((*known, BLOCKED, BLOCKED_INSIDE))}")
    return known.get(name)


def _key(request: HttpRequest, name: str) -> Key:
    """The ticket that a parameter names, ("", "") if it is absent."""
    text = request.POST.get(name, "")
    if not text:
        return "", ""
    event, _, ticket = text.partition("/")
    if not (is_name(event) and is_name(ticket)):
        raise InvalidRequest(f"{name} must be EVENT/TICKET")
    return event, ticket


# --- answers --------------------------------------------------------------------------------------


def _title(act: Act) -> str:
    return PLAIN_TITLES.get(act.name, act.title)


def _words(kind: Kind, act: Act) -> dict[str, Any]:
    """What the page's script needs for an act."""
    return {
        "kind": kind.name,
        "path": kind.path.removeprefix("/api/v1"),
        "past": ": ".join(filter(None, PLAIN_PASTS.get(act.name, (act.past, act.means)))),
        "consequence": act.consequence,
        "fields": act.fields,
        "inputs": ("reason",) if act.reason else act.inputs,
        "title": _title(act),
        "told": kind.rest is not None and kind.rest.full,
    }


def _total(wanted: Search) -> int | None:
    """Number of tickets that the search selects, from the counters; None for a search by words, or
    for tickets of guests who are inside."""
    if wanted.words or wanted.inside:
        return None
    if wanted.blocked:
        tickets = Ticket.objects.using(LEARNER_ALIAS).filter(blocked=True)
        return tickets.filter(event__in=wanted.events).count()
    counts = read.count_tickets(LEARNER_ALIAS, wanted.events)
    return sum(counts.values()) if wanted.state is None else counts[wanted.state.name]
