"""The tickets page, and its data: a part of a search, and one ticket with its history."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from dtvn.api.errors import InvalidRequest, ServiceError, not_found
from dtvn.api.queries import SEARCH_LENGTH_MAX, read_event, read_words
from dtvn.machine import CAPABILITY, TRANSITIONS, State
from dtvn.machine.fields import MICROSECONDS, is_name
from dtvn.machine.kinds import ACTS, Act, Kind
from dtvn.machine.rows import TicketRow
from tickets.models import TicketHolder
from tickets.pages.access import may_see_addresses, may_see_names, with_scope
from tickets.services.data_text import in_words
from tickets.services.search import Found, Key, Search, folded, search, state_of_row
from validators import feed
from validators.dashboard.views import for_pages, frame
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.models import OperationRecord
from validators.rest.http import OWN_WRITES_WAIT
from validators.rest.keys import Caller, caller_of_person
from validators.services import network

PAGE_SIZE = 50
SELECTED_MAX = 10_000
"""Tickets that the page keeps selected; it says so if there are more."""
PART_SIZE = 50
"""Operations on selected tickets in one request; the admin itself acts on as many."""
HISTORY_MAX = 50
"""Operations of a ticket that the page shows, the newest first."""
MEANINGS = {
    State.ISSUED: "not validated yet",
    State.VALIDATED: "may be admitted",
    State.CONSUMED: "admitted, refused from now on",
    State.DISPUTED: "not admitted until the dispute is resolved",
    State.UPHELD: "final, never admitted",
}


@require_GET
@with_scope()
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The page; its content comes from `found`, `one`, the feed and the API."""
    return _page(request, caller)


def page_with_selection(
    request: HttpRequest, caller: Caller, act: str, keys: Iterable[Key], *, reason: str
) -> HttpResponse:
    """The page with these tickets selected, which asks whether to do `act` (of ACTS) with all."""
    selected = [{"event": event, "id": ticket} for event, ticket in keys]
    handed = {"act": act, "reason": reason, "tickets": selected, "page": reverse("tickets:page")}
    return _page(request, caller, handed=handed)


def _page(request: HttpRequest, caller: Caller, **more: Any) -> HttpResponse:
    context = frame(caller, "Tickets") | {
        "may_seed": CAPABILITY["seed"] in caller.scopes,
        "acts": _offered(caller),
        "words_of_acts": {name: _words(kind, act) for name, (kind, act) in ACTS.items()},
        "sees_holders": may_see_names(caller),
        "text_max": SEARCH_LENGTH_MAX,
        "page_size": PAGE_SIZE,
        "part_size": PART_SIZE,
        "selected_max": SELECTED_MAX,
    }
    return render(request, "dashboard/tickets.html", context | more)


def _data(view: Callable[[HttpRequest, Caller], HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorator of the page's data: for_pages, with the caller; errors of services become JSON."""

    @require_GET
    @for_pages
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        caller = caller_of_person(request)
        if caller is None:  # logged out meanwhile
            return JsonResponse({"error": "log in first"}, status=401)
        try:
            return view(request, caller)
        except ServiceError as error:
            return JsonResponse({"error": str(error)}, status=error.status)

    return answer


@_data
def found(request: HttpRequest, caller: Caller) -> HttpResponse:
    """A part of the tickets that `q`, `event` and `state` select, after `after` (event/ticket id)."""
    event = read_event({"event": request.GET["event"]}) if request.GET.get("event") else None
    words = tuple(folded(word) for word in read_words(request.GET.get("q", "")))
    wanted = Search(words, event, _state(request))
    sequence = feed.wait_for(network.acknowledged(), OWN_WRITES_WAIT)
    after, sees = _after(request), may_see_names(caller)
    if not sequence:  # there may be no ledger yet
        return JsonResponse({"sequence": 0, "tickets": [], "after": None, "total": 0, "events": []})
    part = search(LEARNER_ALIAS, wanted, limit=PAGE_SIZE, after=after, with_holders=sees)
    return JsonResponse(
        {
            "sequence": sequence,
            "tickets": [_row(row, caller, part) for row in part.tickets],
            "after": "/".join(part.after) if part.after else None,
            "total": _total(wanted),
            "events": read.list_events(LEARNER_ALIAS),
        }
    )


@_data
def one(request: HttpRequest, caller: Caller) -> HttpResponse:
    """One ticket (`event`, `ticket`): all its fields and its newest operations, refusals included."""
    event, ticket_id = read_event({"event": request.GET.get("event", "")}), request.GET.get("ticket", "")
    sequence = feed.wait_for(network.acknowledged(), OWN_WRITES_WAIT)
    row = read.read_ticket(LEARNER_ALIAS, event, ticket_id) if sequence and is_name(ticket_id) else None
    if row is None:
        raise not_found()
    records = OperationRecord.objects.filter(event=event, ticket_id=ticket_id).order_by("-id")
    history = list(records[: HISTORY_MAX + 1])
    verdicts = read.verdicts(LEARNER_ALIAS, history)
    return JsonResponse(
        {
            "sequence": sequence,
            "facts": [*_facts(row), *(_holder(request, caller, row) if may_see_names(caller) else [])],
            "state": state_of_row(row).name.lower(),
            "acts": _acts(row, caller),
            "history": [_operation(record, verdicts.get(record.pk, "")) for record in history[:HISTORY_MAX]],
            "more": len(history) > HISTORY_MAX,
        }
    )


# --- parameters -----------------------------------------------------------------------------------


def _state(request: HttpRequest) -> State | None:
    name = request.GET.get("state", "")
    known = {state.name.lower(): state for state in State}
    if name and name not in known:
        raise InvalidRequest(f"state must be one of {', '.join(known)}")
    return known.get(name)


def _after(request: HttpRequest) -> Key:
    text = request.GET.get("after", "")
    if not text:
        return "", ""
    event, _, ticket = text.partition("/")
    if not (is_name(event) and is_name(ticket)):
        raise InvalidRequest("after must be EVENT/TICKET")
    return event, ticket


# --- answers --------------------------------------------------------------------------------------


def _row(row: TicketRow, caller: Caller, part: Found) -> dict[str, Any]:
    state = state_of_row(row)
    holder, order = part.holders.get((row.event, row.ticket), ("", ""))
    labels = (row.product, row.seat)
    return {
        "event": row.event,
        "id": row.ticket,
        "state": state.name.lower(),
        "meaning": MEANINGS[state],
        "changed": row.timestamp // MICROSECONDS,
        "entry": row.validator,
        "about": ", ".join(filter(None, (*labels, in_words(row.data, labels)))),
        "holder": holder,
        "order": order,
        "acts": _acts(row, caller),
    }


def _offered(caller: Caller) -> list[str]:
    return [name for name, (kind, _) in ACTS.items() if kind.capability in caller.scopes]


def _words(kind: Kind, act: Act) -> dict[str, Any]:
    """What the page's script needs for an act."""
    return {
        "kind": kind.name,
        "path": kind.path.removeprefix("/api/v1"),
        "past": f"{act.past}: {act.means}" if act.means else act.past,
        "consequence": act.consequence,
        "fields": act.fields,
    }


def _acts(row: TicketRow, caller: Caller) -> list[str]:
    """Acts (keys of ACTS) that the caller may perform, and that the ticket's state allows."""
    state = state_of_row(row)
    return [
        act
        for act in _offered(caller)
        if act not in TRANSITIONS or isinstance(TRANSITIONS[act][state], State)
    ]


def _total(wanted: Search) -> int | None:
    """Number of tickets that the search selects, from the counters; None for a search by words."""
    if wanted.words:
        return None
    counts = read.count_tickets(LEARNER_ALIAS, wanted.event)
    return sum(counts.values()) if wanted.state is None else counts[wanted.state.name]


def _facts(row: TicketRow) -> list[tuple[str, str | int]]:
    """(name, value) of the fields that are set; a number is a time in Unix seconds."""
    facts: list[tuple[str, str | int]] = [
        ("Event", row.event),
        ("Product", row.product),
        ("Seat", row.seat),
        ("Valid from", row.not_before // MICROSECONDS),
        ("Valid until", row.not_after // MICROSECONDS),
        ("Admitted at gate", row.gate),
        ("Device", row.device),
        ("Reason of the dispute", row.note),
        ("Data", in_words(row.data)),
        ("Metadata", ", ".join(f"{name}: {value}" for name, value in row.metadata.items())),
    ]
    return [(name, value) for name, value in facts if value]


def _holder(request: HttpRequest, caller: Caller, row: TicketRow) -> list[tuple[str, str | int]]:
    holder = TicketHolder.objects.filter(event=row.event, ticket=row.ticket).first()
    if holder is None:
        return []
    if holder.erased_at is not None:
        return [("Holder", f"erased on {holder.erased_at:%Y-%m-%d}")]
    shown = [holder.name, holder.company]
    if may_see_addresses(request, caller):
        shown += [holder.email, holder.phone, holder.address]
    facts = [("Holder", ", ".join(filter(None, shown))), ("Order", holder.order)]
    return [(name, value) for name, value in facts if value]


def _operation(record: OperationRecord, verdict: str) -> dict[str, Any]:
    return {
        "at": f"{record.sequence}.{record.batch_index}",
        "time": record.timestamp // MICROSECONDS,
        "operation": verdict or record.operation,
        "code": record.shown_code,
        "entry": record.entry,
        "actor": record.actor,
    }
