"""Bases of the admin's lists."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from dtvn.api.errors import InvalidRequest
from dtvn.api.queries import read_words
from validators.rest.keys import actor_of
from validators.services import audit
from validators.services.following import is_follower
from validators.services.login_throttle import client_address

OFFERED_LOOKUPS = frozenset({"exact", "isnull", "isempty", "gte", "lt"})
"""Lookups that Django's filters put into their links."""
NUL = "\x00"
"""PostgreSQL cannot store this character in a text, and fails when it is asked for one."""


class StrictAdmin(admin.ModelAdmin):
    """A list that is queried only by the filters that it offers: Django passes any other lookup to the
    database, which fails on an invalid regular expression or a number beyond 64 bits, and may scan for
    long. On a follower it offers no form and no action that rest.follower would refuse."""

    of_platform = False
    """Whether the rows are this platform's own accounts and keys, which a follower may change as well."""

    of_members = False
    """Whether the rows come from members, which a follower does not ask: it has no such list."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        absent = self.of_members and is_follower()
        return not absent and super().has_view_permission(request, obj)

    def _shows_only(self) -> bool:
        return is_follower() and not self.of_platform

    def has_add_permission(self, request: HttpRequest) -> bool:
        return not self._shows_only() and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not self._shows_only() and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not self._shows_only() and super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {} if self._shows_only() else super().get_actions(request)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Refuses a search of too many words, each of which would be a further condition on every row."""
        try:
            read_words(request.GET.get(SEARCH_VAR, ""))
        except InvalidRequest as error:
            query = request.GET.copy()
            del query[SEARCH_VAR]
            self.message_user(request, f"Not searched: {error}.", messages.ERROR)
            return redirect(f"{request.path}?{query.urlencode()}")
        return super().changelist_view(request, extra_context)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether one of the list's filters makes this query parameter; 400 if not."""
        own: set[str] = set()
        for offered in self.get_list_filter(request):
            name: Any = getattr(offered, "parameter_name", offered)
            own |= {name, *(f"{name}{LOOKUP_SEP}{kind}" for kind in OFFERED_LOOKUPS)}
            own.add(f"{name}{LOOKUP_SEP}id{LOOKUP_SEP}exact")
        return lookup in own and NUL not in value and super().lookup_allowed(lookup, value, request)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row with this key; None if no row has it, or could have it."""
        return None if NUL in object_id else super().get_object(request, object_id, from_field)

    # --- platform actions (services.audit), besides Django's own history of each object ------------

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, "add", obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """`message`: the fields that changed; none: nothing is recorded."""
        request.nothing_changed = not message  # type: ignore[attr-defined]
        if not message:
            return None
        self._record(request, "change", obj)
        return super().log_change(request, obj, message)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Django says of a form without a change that it changed successfully."""
        if not getattr(request, "nothing_changed", False) or IS_POPUP_VAR in request.POST:
            return super().response_change(request, obj)
        self.message_user(request, f"Nothing was changed: {obj} is as it was.")
        stays = "_continue" in request.POST
        return redirect(request.path) if stays else self.response_post_save_change(request, obj)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            self._record(request, "delete", obj)
        return super().log_deletions(request, queryset)

    def _record(self, request: HttpRequest, verb: str, obj: Any) -> None:
        action = f"{verb} {self.opts.verbose_name}"
        audit.record(actor_of(request.user), action, str(obj), "ok", client_address(request))


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
