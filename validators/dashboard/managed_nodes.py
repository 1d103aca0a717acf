"""The nodes in the admin: started and stopped by changing their desired state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from validators.dashboard.bulk_actions import BulkActions
from validators.dashboard.confirming import confirmed
from validators.dashboard.formatting import node_pill
from validators.dashboard.readonly import ReadOnlyAdmin
from validators.membership import error_of, view_of
from validators.models import ManagedNode, NodePart, NodeRole
from validators.rest.keys import may
from validators.services import nodes
from validators.services.cluster_state import cluster_state, state_without
from validators.services.errors import ServiceError


@admin.register(ManagedNode)
class ManagedNodeAdmin(BulkActions, ReadOnlyAdmin):
    """Nodes that this platform runs: desired state, process, and the node's own report."""

    of_members = True
    list_display = (
        "node_id",
        "role",
        "part_of_cluster",
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
        "part_of_cluster",
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
    readonly_fields = ("part_of_cluster", "status_pill", "trouble")

    @admin.display(description="error", empty_value="")
    def trouble(self, node: ManagedNode) -> str:
        return error_of(node, view_of(node.node_id))

    @admin.display(description="state")
    def status_pill(self, node: ManagedNode) -> SafeString:
        votes = node.role == NodeRole.VALIDATOR and node.part == NodePart.MEMBER
        return node_pill(node.node_id, node.status, self.trouble(node), cluster_state() if votes else None)

    @admin.display(description="part", empty_value="–")
    def part_of_cluster(self, node: ManagedNode) -> str:
        return node.get_part_display() if node.role == NodeRole.VALIDATOR else ""

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
    @confirmed("Stop", lambda rows: _without(rows, "Afterwards"))
    def stop(self, request: HttpRequest, queryset: QuerySet[ManagedNode]) -> None:
        self._set_desired(request, queryset, nodes.stop_node, "stop")

    @admin.action(description="Restart", permissions=["admin"])
    @confirmed("Restart", lambda rows: _without(rows, "Until they run again"))
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


def _without(rows: QuerySet[ManagedNode], when: str) -> str:
    """What follows if these nodes do not run."""
    validators = [row.node_id for row in rows if row.role == NodeRole.VALIDATOR]
    said = [f"{when}: {state_without(validators).sentence}."] if validators else []
    if len(validators) < len(rows):
        said.append(f"{when}, pages and lists are not updated: the learner copies the log for them.")
    return " ".join(said)
