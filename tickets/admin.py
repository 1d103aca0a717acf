"""Holders of tickets and time zones of events in the admin. Tickets are on the tickets page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet, Value
from django.db.models.functions import Concat
from django.http import HttpRequest

from tickets.importing.holders import erase_holders
from tickets.models import CodeWithin, EventTimeZone, SearchKey, TicketHolder
from validators.dashboard.bulk_actions import BulkActions
from validators.dashboard.confirming import confirmed
from validators.dashboard.keyset import KeysetAdmin
from validators.dashboard.readonly import StrictAdmin
from validators.ledger.read import LAST_CHARACTER
from validators.rest.keys import caller_of_user, rows_seen

ERASED_MEANS = (
    "Name, order, company, e-mail, phone and address are deleted from this platform and cannot be restored. "
    "The ticket stays as it is; it is no longer found by its holder's name or its order."
)
FOUND_MAX = 1_000
"""Most holders that a search shows whose name (or order, or e-mail address) begins with the text."""


class ErasedFilter(admin.SimpleListFilter):
    """Filter by whether the holder's personal data was erased."""

    title = "erased"
    parameter_name = "erased"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Erased")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TicketHolder]) -> QuerySet[TicketHolder]:
        return queryset.filter(erased_at__isnull=False) if self.value() == "yes" else queryset


@admin.register(TicketHolder)
class TicketHolderAdmin(BulkActions, KeysetAdmin):
    """Holders of tickets: searched by the people at the help desk, erased on request."""

    keyset = ("event", "ticket")
    list_display = ("ticket", "event", "name", "order", "email", "company", "erased_at")
    list_display_links = ("ticket",)
    search_fields = ("ticket",)
    search_help_text = "A full ticket ID, or the start of an order, a name or an e-mail address"
    list_filter = (ErasedFilter,)
    actions = ["erase"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[TicketHolder]:
        """Of the events at which the user may see holders' data."""
        return rows_seen(request, super().get_queryset(request), "addresses")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TicketHolder], search_term: str
    ) -> tuple[QuerySet[TicketHolder], bool]:
        """Searches each column by its own index with a limit: a single condition with OR would read all
        rows."""
        term = search_term.strip()
        if not term:
            return queryset, False
        everyone = rows_seen(request, TicketHolder.objects.order_by(), "addresses")
        found = set(everyone.filter(ticket=term).values_list("pk", flat=True)[:FOUND_MAX])
        first = SearchKey(Value(term))
        for field in ("name", "email", "order"):
            rows = everyone.alias(key=SearchKey(field))
            rows = rows.filter(key__gte=first, key__lt=Concat(first, Value(LAST_CHARACTER)))
            found.update(rows.values_list("pk", flat=True)[:FOUND_MAX])
        return queryset.filter(pk__in=found), False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        caller = caller_of_user(request.user)
        return caller is not None and caller.rights.has("operate")

    @admin.action(description="Erase personal data", permissions=["operate"])
    @confirmed("Erase", lambda _: ERASED_MEANS)
    def erase(self, request: HttpRequest, queryset: QuerySet[TicketHolder]) -> None:
        own = rows_seen(request, queryset, "operate")
        erased = sum(erase_holders(holder.event, [holder.ticket]) for holder in own)
        self.message_user(request, f"Holders erased: {erased}. The log holds no personal data.")


@admin.register(CodeWithin)
class CodeWithinAdmin(BulkActions, StrictAdmin):
    """Events for which an import said that a code stands inside a longer text; delete one to end that."""

    list_display = ("event",)


@admin.register(EventTimeZone)
class EventTimeZoneAdmin(BulkActions, StrictAdmin):
    """Time zones for imports into events that were not created; a created event says its own in the log."""

    list_display = ("event", "zone")
    fieldsets = (
        (
            None,
            {
                "fields": ("event", "zone"),
                "description": "Only for an event that was not created: the zone of a created one is part of "
                "the event, and is changed on the page of events.",
            },
        ),
    )
