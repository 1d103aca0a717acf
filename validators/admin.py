"""Nodes, log and keys in the admin. Nodes are started and stopped by changing their desired state; the log is
read-only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dtvn.machine.reasons import OK
from dtvn.protocol.genesis import CAPABILITIES
from dtvn_project.routers import LEARNER_ALIAS
from validators.dashboard.accounts import AccountAdmin, AccountGroupAdmin
from validators.dashboard.bulk_actions import BulkActions
from validators.dashboard.evidence import MemberEvidenceAdmin
from validators.dashboard.formatting import moment, outcome_pill
from validators.dashboard.keyset import KeysetAdmin
from validators.dashboard.members import MembershipChangeAdmin
from validators.dashboard.readonly import ReadOnlyAdmin
from validators.ledger import read
from validators.ledger.models import ConsensusEntry, OperationRecord
from validators.ledger.read import starting_with
from validators.membership.roster import error_of, view_of
from validators.models import ApiKey, ManagedNode, NodeStatus
from validators.rest.keys import may
from validators.services import nodes
from validators.services.api_keys import generate_api_key, revoke_api_key, store_api_key
from validators.services.errors import ServiceError

__all__ = [
    "AccountAdmin",
    "AccountGroupAdmin",
    "ApiKeyAdmin",
    "ConsensusEntryAdmin",
    "ManagedNodeAdmin",
    "MemberEvidenceAdmin",
    "MembershipChangeAdmin",
    "OperationAdmin",
]

admin.site.site_header = "DTVN"
admin.site.site_title = "DTVN"
admin.site.index_title = "Operate the network"
admin.site.enable_nav_sidebar = False

SORTED_MAX = 20_000
"""Most operations of a search by ticket that are sorted into log order; if there are more, scanning the log
itself finds a page soon. SQLite takes at most 32,766 parameters."""

TONES = {
    NodeStatus.RUNNING: "ok",
    NodeStatus.STARTING: "accent",
    NodeStatus.STOPPING: "accent",
    NodeStatus.UNRESPONSIVE: "bad",
    NodeStatus.ERROR: "bad",
}


@admin.register(ManagedNode)
class ManagedNodeAdmin(BulkActions, ReadOnlyAdmin):
    """Nodes that this platform runs: desired state, process, and the node's own report."""

    list_display = (
        "node_id",
        "role",
        "part",
        "status_pill",
        "desired",
        "view",
        "sequence",
        "pid",
        "restarts",
        "trouble",
    )
    actions = ["start", "stop", "restart"]
    sortable_by = ()
    list_filter = ("role", "status")
    fields = (
        "node_id",
        "role",
        "part",
        "status_pill",
        "trouble",
        "desired",
        "generation",
        "restarts",
        "host",
        "pid",
        "started_at",
        "heartbeat_at",
        "report",
    )
    readonly_fields = ("status_pill", "trouble")

    @admin.display(description="error", empty_value="")
    def trouble(self, node: ManagedNode) -> str:
        return error_of(node, view_of(node.node_id))

    @admin.display(description="state")
    def status_pill(self, node: ManagedNode) -> SafeString:
        full = node.status == NodeStatus.RUNNING and self.trouble(node)
        tone = "bad" if full else TONES.get(NodeStatus(node.status), "")
        return format_html('<span class="pill {}">{}</span>', tone, node.get_status_display())

    def view(self, node: ManagedNode) -> Any:
        return node.report.get("view", "–")

    def sequence(self, node: ManagedNode) -> Any:
        return node.report.get("sequence", "–")

    def has_admin_permission(self, request: HttpRequest) -> bool:
        return may(request, "admin")

    @admin.action(description="Start", permissions=["admin"])
    def start(self, request: HttpRequest, queryset: QuerySet[ManagedNode]) -> None:
        self._set_desired(request, queryset, nodes.start_node, "start")

    @admin.action(description="Stop", permissions=["admin"])
    def stop(self, request: HttpRequest, queryset: QuerySet[ManagedNode]) -> None:
        self._set_desired(request, queryset, nodes.stop_node, "stop")

    @admin.action(description="Restart", permissions=["admin"])
    def restart(self, request: HttpRequest, queryset: QuerySet[ManagedNode]) -> None:
        self._set_desired(request, queryset, nodes.restart_node, "restart")

    def _set_desired(
        self,
        request: HttpRequest,
        queryset: QuerySet[ManagedNode],
        service: Callable[[str], ManagedNode],
        verb: str,
    ) -> None:
        """Write the desired state of each node, and report the outcome of each."""
        for node in queryset:
            try:
                service(node.node_id)
            except ServiceError as error:
                self.message_user(request, f"Failed: {error}.", messages.WARNING)
            else:
                sentence = f"Requested: {verb} {node.node_id}. Its state follows within seconds."
                self.message_user(request, sentence)


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
    KINDS = ("issue", "seed", "validate", "consume", "admit", "dispute", "resolve", "open_session", "barrier")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind.replace("_", " ").capitalize()) for kind in self.KINDS]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[OperationRecord]
    ) -> QuerySet[OperationRecord]:
        return queryset.filter(operation=self.value()) if self.value() else queryset


@admin.register(OperationRecord)
class OperationAdmin(KeysetAdmin):
    """The ordered log, newest first, one line per operation."""

    keyset = ("id",)
    descending = True
    list_display = ("at", "time", "operation", "ticket_id", "outcome", "entry", "actor", "view", "event")
    list_filter = (OutcomeFilter, KindFilter)
    search_fields = ("ticket_id",)
    search_help_text = "Ticket ID starts with"
    fields = (
        "at",
        "time",
        "operation",
        "event",
        "ticket_id",
        "outcome",
        "principal",
        "actor",
        "entry",
        "view",
        "hash",
    )
    readonly_fields = ("at", "time", "outcome", "hash")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OperationRecord], search_term: str
    ) -> tuple[QuerySet[OperationRecord], bool]:
        """Search by the index over ticket ids if it matches few rows; else along the log, which then finds a
        page soon."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = starting_with(OperationRecord.objects.order_by(), "ticket_id", term)
        numbers = list(found.values_list("pk", flat=True)[: SORTED_MAX + 1])
        if len(numbers) <= SORTED_MAX:
            return queryset.filter(pk__in=numbers), False
        return starting_with(queryset, "ticket_id", term, by_index=False), False

    @admin.display(description="sequence")
    def at(self, record: OperationRecord) -> str:
        return f"{record.sequence}.{record.batch_index}"

    def time(self, record: OperationRecord) -> str:
        return moment(record.timestamp)

    def outcome(self, record: OperationRecord) -> SafeString:
        return outcome_pill(record.code)

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


class ApiKeyForm(forms.ModelForm):
    """Label, scopes and expiry of a key."""

    scopes = forms.MultipleChoiceField(
        choices=[(name, name) for name in CAPABILITIES],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="Read access is always included.",
    )

    class Meta:
        model = ApiKey
        fields = ("label", "scopes", "expires_at")


@admin.register(ApiKey)
class ApiKeyAdmin(BulkActions):
    """Keys of programs and gates. A key is shown once, when it is created; only its hash is kept."""

    form = ApiKeyForm
    list_display = ("label", "prefix", "scope_list", "created_at", "expires_at", "revoked_at")
    readonly_fields = ("prefix", "scope_list", "created_at", "revoked_at")
    actions = ["revoke"]
    sortable_by = ()

    @admin.display(description="scopes")
    def scope_list(self, key: ApiKey) -> str:
        return ", ".join(key.scopes) or "read"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ("label", "scopes", "expires_at")
        return ("label", "prefix", "scope_list", "created_at", "expires_at", "revoked_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_admin_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Creates the key via the service, which keeps only the hash; the key itself is shown in the
        answer."""
        plain = generate_api_key()
        stored = store_api_key(plain, label=obj.label, scopes=obj.scopes, expires_at=obj.expires_at)
        obj.pk = stored.pk
        request.new_api_key = plain  # type: ignore[attr-defined]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *rest: Any, **named: Any
    ) -> HttpResponse:
        """Shows one button to save, since the next page shows the key."""
        one = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().render_change_form(request, {**context, **one}, *rest, **named)

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Shows the key once; not as a message, since messages are kept in cookies."""
        context = {
            **self.admin_site.each_context(request),
            "title": "New API key",
            "opts": self.opts,
            "label": obj.label,
            "key": request.new_api_key,  # type: ignore[attr-defined]
        }
        response = TemplateResponse(request, "admin/new_api_key.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke", permissions=["admin"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            revoke_api_key(key)
            self.message_user(request, f"Revoked: {key}. It stays in the list.")
