"""Misbehaviour in the admin: proved cases with both statements side by side, and mere suspicions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from dtvn.api.errors import TicketError
from dtvn.proof import evidence_json
from validators.dashboard.readonly import ReadOnlyAdmin
from validators.models import MemberEvidence
from validators.services import evidence

SUSPICIONS_MAX = 200


@admin.register(MemberEvidence)
class MemberEvidenceAdmin(ReadOnlyAdmin):
    """Opening the list asks the nodes for new evidence."""

    of_members = True
    change_list_template = "admin/evidence_list.html"
    list_display = ("name", "code", "epoch", "place", "reported_by", "collected_at")
    list_display_links = ("name", "code")
    list_filter = ("code", "name")
    show_full_result_count = False
    fields = ("name", "code", "epoch", "place", "reported_by", "collected_at", "statements", "file")
    readonly_fields = ("statements", "file")

    def get_urls(self) -> list[URLPattern]:
        download = path(
            "<int:number>/file/",
            self.admin_site.admin_view(self.download),
            name="validators_memberevidence_file",
        )
        return [download, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        found: list[evidence.Suspicion] = []
        try:
            evidence.collect_evidence()
            found = evidence.suspicions()
        except TicketError as error:
            messages.warning(request, f"Cannot ask the nodes: {error}")
        context = {"suspicions": found[:SUSPICIONS_MAX], "more_suspicions": len(found) > SUSPICIONS_MAX}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def download(self, request: HttpRequest, number: int) -> HttpResponse:
        """The evidence file, which can be verified without this platform."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        row = get_object_or_404(MemberEvidence, pk=number)
        response = HttpResponse(evidence_json(bytes(row.content)), content_type="application/json")
        response.headers["Content-Disposition"] = f'attachment; filename="evidence-{number}.json"'
        return response

    def statements(self, row: MemberEvidence) -> SafeString:
        """Both statements side by side."""
        columns = format_html_join(
            "",
            "<td><table><caption>{}</caption><tbody>{}</tbody></table></td>",
            (
                (kind, format_html_join("", "<tr><th>{}</th><td><code>{}</code></td></tr>", fields))
                for kind, fields in evidence.statements(bytes(row.content))
            ),
        )
        return format_html('<table class="statements"><tbody><tr>{}</tr></tbody></table>', columns)

    def file(self, row: MemberEvidence) -> SafeString:
        address = reverse("admin:validators_memberevidence_file", args=[row.pk])
        return format_html('<a href="{}" download>evidence-{}.json</a>', address, row.pk)
