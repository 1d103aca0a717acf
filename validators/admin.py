"""The log in the admin, read-only. Nodes, members, keys, evidence: validators.dashboard."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from dtvn.api.rights import READ
from dtvn.machine.kinds import KINDS
from dtvn.machine.reasons import OK
from validators.dashboard.accounts import AccountAdmin
from validators.dashboard.api_keys import ApiKeyAdmin
from validators.dashboard.evidence import MemberEvidenceAdmin
from validators.dashboard.formatting import moment, outcome_pill
from validators.dashboard.keyset import KeysetAdmin
from validators.dashboard.locks import locks_page
from validators.dashboard.managed_nodes import ManagedNodeAdmin
from validators.dashboard.members import MembershipChangeAdmin
from validators.dashboard.platform_actions import PlatformActionAdmin
from validators.dashboard.teams import TeamAdmin
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.models import ConsensusEntry, OperationRecord
from validators.ledger.read import starting_with
from validators.rest.keys import may, rows_seen

__all__ = [
    "AccountAdmin",
    "ApiKeyAdmin",
    "ConsensusEntryAdmin",
    "ManagedNodeAdmin",
    "MemberEvidenceAdmin",
    "MembershipChangeAdmin",
    "OperationAdmin",
    "PlatformActionAdmin",
    "TeamAdmin",
]

admin.site.unregister([TOTPDevice, StaticDevice])  # secrets are for their owner only

admin.site.site_header = "DTVN"
admin.site.site_title = "DTVN"
admin.site.index_title = "Operate the network"
admin.site.enable_nav_sidebar = False

SORTED_MAX = 20_000
"""Most operations of a search by ticket that are sorted into log order; if there are more, scanning the log
itself finds a page soon. SQLite takes at most 32,766 parameters."""


class OutcomeFilter(admin.SimpleListFilter):
    """Filter by outcome: applied or refused."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("applied", "Applied"), ("refused", "Refused")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[OperationRecord]
    ) -> QuerySet[OperationRecord]:
        match self.value():
            case "applied":
                return queryset.filter(code=OK)
            case "refused":
                return queryset.exclude(code=OK) if refused_any(request) else queryset.none()
            case _:
                return queryset


def refused_any(request: HttpRequest) -> bool:
    """Whether rows with this filter can exist; otherwise a million rows would be searched without a
    result."""
    kinds = read.operation_kinds(LEARNER_ALIAS, outcome="refused")
    kind = request.GET.get(KindFilter.parameter_name)
    return kind in kinds if kind else bool(kinds)


class KindFilter(admin.SimpleListFilter):
    """Filter by kind of operation."""

    title = "operation"
    parameter_name = "operation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind.replace("_", " ").capitalize()) for kind in KINDS]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[OperationRecord]
    ) -> QuerySet[OperationRecord]:
        return queryset.filter(operation=self.value()) if self.value() else queryset


@admin.register(OperationRecord)
class OperationAdmin(KeysetAdmin):
    """The ordered log, newest first, one line per operation."""

    keyset = ("id",)
    descending = True
    list_display = ("at", "time", "act", "ticket_id", "outcome", "entry", "actor", "view", "event")
    list_filter = (OutcomeFilter, KindFilter)
    search_fields = ("ticket_id",)
    search_help_text = "Ticket ID starts with"
    fields = (
        "at",
        "time",
        "act",
        "event",
        "ticket_id",
        "outcome",
        "principal",
        "actor",
        "entry",
        "view",
        "hash",
    )
    readonly_fields = ("at", "time", "act", "outcome", "hash")

    def get_queryset(self, request: HttpRequest) -> QuerySet[OperationRecord]:
        """Of the events at which the user may read the log."""
        return rows_seen(request, super().get_queryset(request), "log")

    def get_urls(self) -> list[URLPattern]:
        locks = path("locks/", self.admin_site.admin_view(self.locks), name="ledger_operationrecord_locks")
        return [locks, *super().get_urls()]

    def locks(self, request: HttpRequest) -> HttpResponse:
        """The locks that are held."""
        return locks_page(request, allowed=may(request, READ) and self.has_view_permission(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OperationRecord], search_term: str
    ) -> tuple[QuerySet[OperationRecord], bool]:
        """Search by the index over ticket ids if it matches few rows; else along the log, which then finds a
        page soon."""
        term = search_term.strip()
        if not term:
            return queryset, False
        own = rows_seen(request, OperationRecord.objects.order_by(), "log")
        found = starting_with(own, "ticket_id", term)
        numbers = list(found.values_list("pk", flat=True)[: SORTED_MAX + 1])
        if len(numbers) <= SORTED_MAX:
            return queryset.filter(pk__in=numbers), False
        return starting_with(queryset, "ticket_id", term, by_index=False), False

    @admin.display(description="sequence")
    def at(self, record: OperationRecord) -> str:
        return f"{record.sequence}.{record.batch_index}"

    def time(self, record: OperationRecord) -> str:
        return moment(record.timestamp)

    @admin.display(description="operation")
    def act(self, record: OperationRecord) -> str:
        """A resolved dispute by its verdict."""
        return read.verdicts(LEARNER_ALIAS, [record]).get(record.pk, record.operation)

    def outcome(self, record: OperationRecord) -> SafeString:
        return outcome_pill(record.shown_code)

    def hash(self, record: OperationRecord) -> str:
        return bytes(record.digest).hex()


@admin.register(ConsensusEntry)
class ConsensusEntryAdmin(KeysetAdmin):
    """The decided batches, newest first, chained by their hashes."""

    keyset = ("sequence",)
    descending = True
    list_display = ("sequence", "time", "epoch", "hash")
    list_per_page = 50
    fields = ("sequence", "time", "epoch", "hash")
    readonly_fields = ("time", "hash")

    def time(self, entry: ConsensusEntry) -> str:
        return moment(entry.timestamp)

    @admin.display(description="entry hash")
    def hash(self, entry: ConsensusEntry) -> str:
        return bytes(entry.entry_hash).hex()
