"""Hands tickets chosen in the admin over to the tickets page, which acts on many with progress."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from tickets.pages.tickets import page_with_selection
from validators.ledger.models import Ticket
from validators.rest.keys import caller_of_user

AT_ONCE = 50
"""Tickets on which the admin itself acts, in one request."""
HANDED_MAX = 10_000
"""Tickets that the tickets page keeps selected; it says so if there are more."""

Action = Callable[[Any, HttpRequest, QuerySet[Ticket]], HttpResponse | None]


def followed(act: str) -> Callable[[Action], Action]:
    """Decorator for an admin action on tickets: more than AT_ONCE of them go to the tickets
    page, which asks, sends them in parts and shows the progress. `act`: the page's name of the action."""

    def decorate(action: Action) -> Action:
        @wraps(action)
        def follow(model_admin: Any, request: HttpRequest, queryset: QuerySet[Ticket]) -> HttpResponse | None:
            keys = list(queryset.values_list("event", "ticket_id")[: HANDED_MAX + 1])
            caller = caller_of_user(request.user)
            if len(keys) <= AT_ONCE or caller is None:
                return action(model_admin, request, queryset)
            reason = request.POST.get("reason", "")[:256] if act == "dispute" else ""
            return page_with_selection(request, caller, act, keys, reason=reason)

        return follow

    return decorate
