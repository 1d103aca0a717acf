"""Tickets in the admin: the platform's verified copy, read-only; every change goes through consensus."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet, Value
from django.db.models.functions import Concat
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from dtvn.machine.fields import REASON_LENGTH_MAX
from tickets.importing.holders import erase_holders
from tickets.models import EventTimeZone, SearchKey, TicketHolder
from tickets.pages.admin_actions import ACTIONS, GIVEN_WITH
from tickets.pages.ticket_facts import told_terms
from tickets.services.data_text import in_words
from validators.dashboard.bulk_actions import BulkActions
from validators.dashboard.confirming import confirmed
from validators.dashboard.formatting import moment, outcome_pill
from validators.dashboard.keyset import KeysetAdmin
from validators.dashboard.readonly import StrictAdmin
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger.models import OperationRecord, Ticket
from validators.ledger.read import (
    LAST_CHARACTER,
    STATES,
    count_tickets,
    event_row,
    list_events,
    starting_with,
    verdicts,
)
from validators.rest.keys import may
from validators.services.roles import NAMES_SEEN_WITH

ERASED_MEANS = (
    "Name, order, company, e-mail, phone and address are deleted from this platform and cannot be restored. "
    "The ticket stays as it is; it is no longer found by its holder's name or its order."
)
HISTORY_MAX = 50
BLOCKED = "BLOCKED"
"""A filter beside the states: blocked tickets in whatever state."""
FOUND_MAX = 1_000
"""Most holders that a search shows whose name (or order, or e-mail address) begins with the text."""


class StateFilter(admin.SimpleListFilter):
    """Filter by state; a state without tickets is answered without a query."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.capitalize()) for name in (*STATES, BLOCKED)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Ticket]) -> QuerySet[Ticket]:
        state = self.value()
        if not state:
            return queryset
        if state == BLOCKED:
            return queryset.filter(blocked=True)
        return queryset.filter(state=state) if count_tickets(LEARNER_ALIAS).get(state) else queryset.none()


class EventFilter(admin.SimpleListFilter):
    """Filter by event; the choices come from the counters."""

    title = "event"
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in list_events(LEARNER_ALIAS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Ticket]) -> QuerySet[Ticket]:
        return queryset.filter(event=self.value()) if self.value() else queryset


class ErasedFilter(admin.SimpleListFilter):
    """Filter by whether the holder's personal data was erased."""

    title = "erased"
    parameter_name = "erased"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Erased")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TicketHolder]) -> QuerySet[TicketHolder]:
        return queryset.filter(erased_at__isnull=False) if self.value() == "yes" else queryset


class TicketActionForm(ActionForm):
    """The actions' menu, with a reason for those that take one."""

    reason = forms.CharField(
        max_length=REASON_LENGTH_MAX,
        required=False,
        label="Reason",
        help_text=f"for {GIVEN_WITH}; recorded in the log",
    )


@admin.register(Ticket)
class TicketAdmin(BulkActions, KeysetAdmin):
    """All fields of one ticket. The list of tickets that menus and index lead to is the tickets page; the
    search of this one finds ids with the given prefix."""

    keyset = ("event", "ticket_id")
    list_display = ("ticket_id", "event", "state_pill", "product", "seat", "validator", "gate", "changed")
    list_display_links = ("ticket_id",)
    list_filter = (StateFilter, EventFilter)
    search_fields = ("ticket_id",)
    search_help_text = "Ticket ID starts with"
    action_form = TicketActionForm
    actions = [*ACTIONS, "erase_holder"]
    fieldsets = (
        (
            None,
            {"fields": ("ticket_id", "event", "state_pill", "changed", "last_change", "more", "certificate")},
        ),
        ("Terms", {"fields": ("terms",)}),
        ("Issued with", {"fields": ("metadata", "data", "commitment")}),
        ("Admission", {"fields": ("validator", "gate", "device", "note", "vector_clock")}),
        ("Holder", {"fields": ("holder",)}),
        ("History", {"fields": ("history",)}),
    )
    readonly_fields = (
        "state_pill",
        "changed",
        "last_change",
        "more",
        "certificate",
        "terms",
        "metadata",
        "data",
        "commitment",
        "note",
        "vector_clock",
        "holder",
        "guest",
        "history",
    )

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Indexes name no second list of tickets."""
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Ticket | None = None) -> Any:
        """With as much of the holder as the role may see."""
        if request.user.has_perm("tickets.view_ticketholder"):
            return self.fieldsets
        parts: list[Any] = [part for part in self.fieldsets if part[0] != "Holder"]
        if any(may(request, scope) for scope in NAMES_SEEN_WITH):
            parts.insert(-1, ("Holder", {"fields": ("guest",)}))
        return parts

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Ticket], search_term: str
    ) -> tuple[QuerySet[Ticket], bool]:
        """Search by the index over (event, ticket id), one range per event."""
        term = search_term.strip()
        if term:
            queryset = starting_with(queryset, "ticket_id", term).filter(event__in=list_events(LEARNER_ALIAS))
        return queryset, False

    # --- columns -----------------------------------------------------------------------------------

    @admin.display(description="state")
    def state_pill(self, ticket: Ticket) -> SafeString:
        state = format_html('<span class="pill state-{}">{}</span>', ticket.state.lower(), ticket.state)
        return format_html('{} <span class="pill bad">BLOCKED</span>', state) if ticket.blocked else state

    @admin.display(description="changed")
    def changed(self, ticket: Ticket) -> str:
        return moment(ticket.timestamp)

    @admin.display(description="last change")
    def last_change(self, ticket: Ticket) -> str:
        row = ticket.whole
        return f"{row.operation} at {row.sequence}.{row.index}, by {row.actor} through {row.principal}"

    @admin.display(description="proof")
    def certificate(self, ticket: Ticket) -> SafeString:
        """Links to the certificate of the last change and to the epoch chain; they can be verified without a
        server."""
        return format_html(
            '<a href="{}?{}" download>Certificate</a> · <a href="{}" download>Epoch chain</a> · '
            '<a href="{}">Verify a certificate</a>',
            reverse("ticket-certificate", args=[ticket.ticket_id]),
            urlencode({"event": ticket.event}),
            reverse("epochs"),
            static("verifier/index.html"),
        )

    @admin.display(description="more")
    def more(self, ticket: Ticket) -> SafeString:
        """Where codes are replaced, and product, seat and window are changed."""
        return format_html(
            '<a href="{}?{}">Replace its code or change it on the tickets page</a>',
            reverse("tickets:page"),
            urlencode({"event": ticket.event, "ticket": ticket.ticket_id}),
        )

    @admin.display(description="now")
    def terms(self, ticket: Ticket) -> SafeString:
        """Product, seat, window, block, codes and entry, as the tickets page tells them."""
        told = told_terms(event_row(LEARNER_ALIAS, ticket.event), ticket.whole)
        return format_html_join("", "{}: {}<br>", told) or SafeString("nothing is set: it admits at any time")

    def metadata(self, ticket: Ticket) -> str:
        return ", ".join(f"{key}: {value}" for key, value in ticket.whole.metadata.items()) or "none"

    def data(self, ticket: Ticket) -> str:
        return in_words(ticket.whole.data) or "none"

    def commitment(self, ticket: Ticket) -> str:
        return ticket.whole.commitment.hex() or "none"

    def note(self, ticket: Ticket) -> str:
        return ticket.whole.note or "none"

    @admin.display(description="vector clock")
    def vector_clock(self, ticket: Ticket) -> str:
        return ", ".join(f"{node} {count}" for node, count in sorted(ticket.whole.clock.items())) or "empty"

    def holder(self, ticket: Ticket) -> str:
        """The holder, stored outside the log and erasable."""
        return _holder(ticket, "name", "company", "email", "phone", "address")

    @admin.display(description="holder")
    def guest(self, ticket: Ticket) -> str:
        """The part of the holder's data that a gate sees."""
        return _holder(ticket, "name", "company")

    def history(self, ticket: Ticket) -> SafeString:
        """Operations on this ticket, newest first, refusals included."""
        found = OperationRecord.objects.filter(event=ticket.event, ticket_id=ticket.ticket_id)
        records = list(found.order_by("-id")[:HISTORY_MAX])
        decided = verdicts(LEARNER_ALIAS, records)
        rows = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            (_history_row(record, decided.get(record.pk, "")) for record in records),
        )
        return format_html(
            '<div class="dtvn-scroll" tabindex="0" role="group" aria-label="History"><table>'
            "<thead><tr><th>Time</th><th>Operation</th><th>Outcome</th><th>Entry node</th><th>By</th>"
            "<th>At</th></tr></thead><tbody>{}</tbody></table></div>",
            rows,
        )

    # --- actions -----------------------------------------------------------------------------------

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return may(request, "operate")

    def has_gate_permission(self, request: HttpRequest) -> bool:
        return may(request, "gate")

    @admin.action(description="Erase personal data of the holder", permissions=["operate"])
    @confirmed("Erase the holder of", lambda _: ERASED_MEANS)
    def erase_holder(self, request: HttpRequest, queryset: QuerySet[Ticket]) -> None:
        by_event: dict[str, list[str]] = {}
        for ticket in queryset:
            by_event.setdefault(ticket.event, []).append(ticket.ticket_id)
        erased = sum(erase_holders(event, ids) for event, ids in by_event.items())
        self.message_user(request, f"Holders erased: {erased}. The log holds no personal data.")


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

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TicketHolder], search_term: str
    ) -> tuple[QuerySet[TicketHolder], bool]:
        """Searches each column by its own index with a limit: a single condition with OR would read all
        rows."""
        term = search_term.strip()
        if not term:
            return queryset, False
        everyone = TicketHolder.objects.order_by()
        found = set(everyone.filter(ticket=term).values_list("pk", flat=True)[:FOUND_MAX])
        first = SearchKey(Value(term))
        for field in ("name", "email", "order"):
            rows = everyone.alias(key=SearchKey(field))
            rows = rows.filter(key__gte=first, key__lt=Concat(first, Value(LAST_CHARACTER)))
            found.update(rows.values_list("pk", flat=True)[:FOUND_MAX])
        return queryset.filter(pk__in=found), False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return may(request, "operate")

    @admin.action(description="Erase personal data", permissions=["operate"])
    @confirmed("Erase", lambda _: ERASED_MEANS)
    def erase(self, request: HttpRequest, queryset: QuerySet[TicketHolder]) -> None:
        erased = sum(erase_holders(holder.event, [holder.ticket]) for holder in queryset)
        self.message_user(request, f"Holders erased: {erased}. The log holds no personal data.")


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


def _holder(ticket: Ticket, *fields: str) -> str:
    """These fields of a ticket's holder, and the order; "unknown" without a holder, or when it was erased."""
    found = TicketHolder.objects.filter(event=ticket.event, ticket=ticket.ticket_id).first()
    if found is None:
        return "unknown"
    if found.erased_at:
        return f"erased on {found.erased_at:%Y-%m-%d %H:%M}"
    shown = [getattr(found, field) for field in fields]
    return ", ".join(filter(None, (*shown, found.order and f"order {found.order}")))


def _history_row(record: OperationRecord, verdict: str) -> tuple[Any, ...]:
    at = f"{record.sequence}.{record.batch_index}"
    return (
        moment(record.timestamp),
        verdict or record.operation,
        outcome_pill(record.shown_code),
        record.entry,
        record.actor,
        at,
    )
