"""Admin list actions that apply to the ticked rows, even if the list's filter no longer matches them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from validators.dashboard.confirming import ASKED_ABOUT, digest_of, question
from validators.dashboard.readonly import NUL, StrictAdmin
from validators.rest.keys import actor_of
from validators.services import audit
from validators.services.login_throttle import client_address


class BulkActions(StrictAdmin):
    """Mixin; it must come before the list's other base classes.

    Django filters and searches again when the action arrives, and silently drops each ticked row that no
    longer matches. Here the action applies to each of them, and rows that no longer exist are reported. "All
    rows that match the filter" (select_across) keeps its meaning, but only for the rows that a question was
    about. With a key that no row can have, nothing is done.
    """

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *rest: Any, **named: Any
    ) -> HttpResponse | None:
        missing = 0
        field = self.action_form.base_fields["select_across"]
        across = bool(field.clean(request.POST.get("select_across")))
        if not across:
            keys = request.POST.getlist(ACTION_CHECKBOX_NAME)
            try:
                wanted = {self.opts.pk.clean(key, None) for key in keys}
                if any(NUL in key for key in keys):
                    raise ValidationError("a key with a NUL character")
            except ValidationError:
                self.message_user(
                    request, "Nothing changed: a selected row has an invalid key.", messages.ERROR
                )
                return None
            queryset = self.get_queryset(request).filter(pk__in=wanted).order_by("pk")
            there = set(queryset.values_list("pk", flat=True))
            missing = len(wanted - there)
            if not there:
                self.message_user(request, f"{self._gone(missing)} Nothing changed.", messages.WARNING)
                return None
        elif not queryset.exists():
            self.message_user(request, "The list is now empty. Nothing changed.", messages.WARNING)
            return None
        elif (asked := request.POST.get(ASKED_ABOUT)) and asked != digest_of(queryset):
            said = "The list has other rows now than those that the question was about. Nothing changed."
            self.message_user(request, said, messages.WARNING)
            return None
        name = next((name for name in request.POST.getlist("action") if name), "")
        known = self.get_actions(request).get(name)
        response = None if known is None else question(known[0], self, request, queryset)
        if response is None:
            with self._recorded(request, name if known else "", across=across):
                response = super().response_action(request, queryset, *rest, **named)
        if missing:
            self.message_user(request, self._gone(missing), messages.WARNING)
        return response

    @contextmanager
    def _recorded(self, request: HttpRequest, action: str, *, across: bool) -> Iterator[None]:
        """Record the action, "" for none that this user may take, as a platform action."""
        if not action:
            yield
            return
        keys = request.POST.getlist(ACTION_CHECKBOX_NAME)
        rows = "all of the list" if across else f"{len(keys)}: {', '.join(keys)}"
        what = f"{action} {self.opts.verbose_name_plural}"
        with audit.recorded(actor_of(request.user), what, rows, client_address(request)):
            yield

    def _gone(self, count: int) -> str:
        if count == 1:
            return f"1 selected {self.opts.verbose_name} no longer exists."
        return f"{count} selected {self.opts.verbose_name_plural} no longer exist."
