"""Guests at a gate: found by name, order or seat, or as the others of an order, by who may see names.

A guest who is found is let in by the API, which asks the rights anew (rest.asking): what is offered here
decides nothing.
"""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError
from django.db.models import Value
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_POST

from dtvn.api.errors import InvalidRequest, ServiceError
from dtvn.api.queries import read_event, read_words
from dtvn.machine import CAPABILITY
from dtvn.machine.fields import is_name
from dtvn.machine.lists import MAIN_SLUG, list_in
from dtvn.machine.movements import ENTRY, EXIT
from tickets.models import SearchKey, TicketHolder
from tickets.pages.gate_offers import Offers
from tickets.services.search import Found, Search, by_keys, folded, search
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.rest.keys import Caller, caller_of_person

PAGE_SIZE = 50
ORDER_MAX = 200
"""Most tickets of one order that are shown."""


@require_POST
def found(request: HttpRequest) -> HttpResponse:
    """Tickets of `event`, each with whether it may be let in on `list`, or out for the `kind` exit: those
    that the words of `q` find, after the ticket id `after`; or, of the order of `ticket`, all. Only those
    that this login may scan. A POST, so that names stand in no URL."""
    caller = caller_of_person(request)
    if caller is None:
        return JsonResponse({"error": "log in first"}, status=401)
    try:
        answer = _found(request, caller)
    except ServiceError as error:
        return JsonResponse({"error": str(error)}, status=error.status)
    except DatabaseError:
        text = "The tickets cannot be read now; try again."
        return JsonResponse({"error": text}, status=503, headers={"Retry-After": "1"})
    return JsonResponse(answer, headers={"Cache-Control": "no-store"})


def _found(request: HttpRequest, caller: Caller) -> dict[str, Any]:
    event, slug = read_event({"event": request.POST.get("event", "")}), request.POST.get("list", MAIN_SLUG)
    _require(caller, event, slug)
    row = read.event_row(LEARNER_ALIAS, event)
    listed = list_in(row.lists if row is not None else (), slug)
    if listed is None:
        raise InvalidRequest(f"list: the event has no list {slug!r}.")
    kind = request.POST.get("kind", ENTRY)
    if kind not in (ENTRY, EXIT):
        raise InvalidRequest("kind must be entry or exit.")
    part = _order(request, event) if "ticket" in request.POST else _search(request, event)
    offers = Offers(caller, event, row, listed, kind)
    seen = filter(offers.may_see, part.tickets)
    return {
        "tickets": [offers.row(one, *part.holders.get((event, one.ticket), ("", ""))) for one in seen],
        "after": part.after[1] if part.after else None,
    }


def _require(caller: Caller, event: str, slug: str) -> None:
    """Raise ApiError (403) for a login that may not scan here: whoever may, sees names."""
    caller.rights.require(CAPABILITY["admit"], event)
    caller.rights.require_list(CAPABILITY["admit"], event, slug)


def _is_seen(_event: str) -> bool:
    """Whether names are: `_require` has asked."""
    return True


def _search(request: HttpRequest, event: str) -> Found:
    words, after = read_words(request.POST.get("q", "")), request.POST.get("after", "")
    if not words:
        raise InvalidRequest("q: type a name, an order or a seat.")
    if after and not is_name(after):
        raise InvalidRequest("after must be a ticket id")
    wanted = Search(tuple(map(folded, words)), (event,))
    behind = (event, after) if after else ("", "")
    return search(LEARNER_ALIAS, wanted, limit=PAGE_SIZE, after=behind, with_holders=_is_seen)


def _order(request: HttpRequest, event: str) -> Found:
    """The tickets of the order of `ticket`; none if it has no order. Those of another source are none of it,
    whatever their order's number."""
    ticket = request.POST["ticket"]
    holder = TicketHolder.objects.filter(event=event, ticket=ticket).first() if is_name(ticket) else None
    if holder is None or not holder.order:
        return Found([], {}, None)
    indexed = TicketHolder.objects.alias(key=SearchKey("order")).filter(key=SearchKey(Value(holder.order)))
    same = indexed.filter(event=event, order=holder.order, source=holder.source).order_by("ticket")
    keys = [(event, one) for one in same.values_list("ticket", flat=True)[:ORDER_MAX]]
    return by_keys(LEARNER_ALIAS, keys, with_holders=_is_seen)
