"""Platform actions in the admin: read-only, newest first."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from validators.dashboard.keyset import KeysetAdmin
from validators.models import PlatformAction


@admin.register(PlatformAction)
class PlatformActionAdmin(KeysetAdmin):
    """Who did what on the platform, beside the ordered log."""

    keyset = ("id",)
    descending = True
    list_display = ("at", "actor", "action", "target", "outcome", "address")
    list_display_links = None
    search_fields = ("actor",)
    search_help_text = "Actor starts with, such as user:ada or key:3"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[PlatformAction], search_term: str
    ) -> tuple[QuerySet[PlatformAction], bool]:
        """Search along the table, newest first."""
        term = search_term.strip()
        return (queryset.filter(actor__startswith=term) if term else queryset), False
