"""Hands tickets chosen in the admin over to the tickets page, which acts on many with progress."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from dtvn.machine.fields import REASON_LENGTH_MAX
from dtvn.machine.kinds import Act
from tickets.pages.tickets import PART_SIZE, SELECTED_MAX, page_with_selection
from validators.ledger.models import Ticket
from validators.rest.keys import caller_of_user

Action = Callable[[Any, HttpRequest, QuerySet[Ticket]], HttpResponse | None]


def followed(act: Act) -> Callable[[Action], Action]:
    """Decorator for an admin action on tickets: more than PART_SIZE of them go to the tickets page, which
    asks, sends them in parts and shows the progress. `act`: what the action does."""

    def decorate(action: Action) -> Action:
        @wraps(action)
        def follow(model_admin: Any, request: HttpRequest, queryset: QuerySet[Ticket]) -> HttpResponse | None:
            keys = list(queryset.values_list("event", "ticket_id")[: SELECTED_MAX + 1])
            caller = caller_of_user(request.user)
            if len(keys) <= PART_SIZE or caller is None:
                return action(model_admin, request, queryset)
            reason = request.POST.get("reason", "")[:REASON_LENGTH_MAX] if act.reason else ""
            return page_with_selection(request, caller, act.name, keys, reason=reason)

        return follow

    return decorate
