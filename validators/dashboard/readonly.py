"""Bases of the admin's lists."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse

OFFERED_LOOKUPS = frozenset({"exact", "isnull", "isempty", "gte", "lt"})
"""Lookups that Django's filters put into their links."""
NUL = "\x00"
"""PostgreSQL cannot store this character in a text, and fails when it is asked for one."""


class StrictAdmin(admin.ModelAdmin):
    """A list that is queried only by the filters that it offers: Django passes any other lookup to the
    database, which fails on an invalid regular expression or a number beyond 64 bits, and may scan for
    long."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether one of the list's filters makes this query parameter; 400 if not."""
        own: set[str] = set()
        for offered in self.get_list_filter(request):
            name: Any = offered[0] if isinstance(offered, list | tuple) else offered
            name = getattr(name, "parameter_name", name)
            own |= {name, *(f"{name}{LOOKUP_SEP}{kind}" for kind in OFFERED_LOOKUPS)}
            own.add(f"{name}{LOOKUP_SEP}id{LOOKUP_SEP}exact")
        return lookup in own and NUL not in value and super().lookup_allowed(lookup, value, request)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row with this key; None if no row has it, or could have it."""
        return None if NUL in object_id else super().get_object(request, object_id, from_field)


class ReadOnlyAdmin(StrictAdmin):
    """Rows cannot be added, changed or deleted here, even with all permissions; the list's title names
    its content instead of "Select ... to view"."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
