"""Admin lists of tables with a million rows: paged by key, without counting or sorting by other columns.

Django's own list counts all rows twice and pages by OFFSET; both take seconds here. Here a page is "the next
100 after this key", which the index finds at any table size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from validators.dashboard.readonly import NUL, ReadOnlyAdmin

AFTER = "after"
SEPARATOR = "/"
"""Separates the parts of a key in the URL; no part of a key contains it."""


class KeysetChangeList(ChangeList):
    """One page of rows after a key, and the key from which the next page continues."""

    model_admin: KeysetAdmin
    next_key = ""
    first_page = True

    def get_results(self, request: HttpRequest) -> None:
        """Instead of counting and slicing, read one row more than a page."""
        admin_of = self.model_admin
        rows = self.queryset.order_by(*admin_of.order())
        after = getattr(request, "keyset_after", "")
        self.first_page = not after
        if after:
            found = admin_of.rows_after(rows, after, self.list_per_page + 1)
        else:
            found = list(rows[: self.list_per_page + 1])
        if len(found) > self.list_per_page:
            found.pop()
            self.next_key = admin_of.key_of(found[-1])
        self.result_list = found
        self.result_count = self.full_result_count = len(found)
        self.show_full_result_count = self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = Paginator(found, self.list_per_page)

    @property
    def first_query(self) -> str:
        """Query string of the first page."""
        return self.get_query_string()

    @property
    def next_query(self) -> str:
        """Query string of the next page."""
        return self.get_query_string({AFTER: self.next_key})


class KeysetAdmin(ReadOnlyAdmin):
    """A read-only list ordered by `keyset`, the columns of a unique index, `descending` or not."""

    keyset: ClassVar[Sequence[str]]
    descending: ClassVar[bool] = False
    list_per_page = 100
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each facet would count the table
    change_list_template = "admin/keyset_list.html"
    change_form_template = "admin/keyset_form.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Takes `after` out of the query: Django would take it for a column's name."""
        query = request.GET.copy()
        request.keyset_after = query.pop(AFTER, [""])[-1]  # type: ignore[attr-defined]
        request.GET = query  # type: ignore[assignment]
        return super().changelist_view(request, extra_context)

    def order(self) -> list[str]:
        """Ordering by the key."""
        return [f"-{name}" if self.descending else name for name in self.keyset]

    def key_of(self, row: Model) -> str:
        """A row's key as it appears in the URL."""
        return SEPARATOR.join(str(getattr(row, name)) for name in self.keyset)

    def rows_after(self, rows: QuerySet[Any], key: str, limit: int) -> list[Model]:
        """The first `limit` of `rows`, in order, that come after `key`.

        One query per part of the key, the last part first: SQLite answers each from the index, but would scan
        the whole table for a single condition with OR.
        """
        fields = [self.model._meta.get_field(name) for name in self.keyset]
        parts = key.split(SEPARATOR)
        if len(parts) != len(fields) or NUL in key:
            raise IncorrectLookupParameters
        try:
            values = [field.to_python(part) for field, part in zip(fields, parts, strict=True)]
        except ValidationError as error:
            raise IncorrectLookupParameters from error
        beyond = "lt" if self.descending else "gt"
        found: list[Model] = []
        for place in reversed(range(len(values))):
            equal = dict(zip(self.keyset[:place], values[:place], strict=True))
            part = rows.filter(**equal, **{f"{self.keyset[place]}__{beyond}": values[place]})
            found += part[: limit - len(found)]
            if len(found) >= limit:
                break
        return found

    # --- the learner's tables are read-only (R28) ---------------------------------------------------

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Refused before Django begins a write transaction, which the router forbids."""
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        return super().changeform_view(request, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        raise PermissionDenied
