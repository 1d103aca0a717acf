"""Turns invalid admin query strings and form values into a message instead of a 500.

Django passes every lookup in the query string and every value of a ticked box to the database. The database
fails on an invalid regular expression, on a number beyond 64 bits and, in PostgreSQL, on the NUL character.
This middleware lets a list be queried only by the lookups that it offers, and actions and pages only by keys
that a row could have; any other request is redirected with a message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IS_FACETS_VAR, IS_POPUP_VAR, TO_FIELD_VAR
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR, SEARCH_VAR
from django.core.exceptions import ValidationError
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import Truncator

__all__ = ["AdminAddresses"]

OWN_WORDS = frozenset(
    {ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR, SEARCH_VAR, IS_POPUP_VAR, TO_FIELD_VAR, IS_FACETS_VAR, "after"}
)
"""Query parameters that a list accepts besides filters; "after" belongs to validators.dashboard.keyset."""
OFFERED_LOOKUPS = frozenset({"exact", "isnull", "isempty", "gte", "lt"})
"""Lookups that Django's filters put into their links."""
PAGES_OF_ROWS = ("_change", "_history", "_delete")
NUL = "\x00"
"""PostgreSQL cannot store this character in a text."""
SHOWN_MAX = 40


class AdminAddresses:
    """Middleware; it runs after those of sessions, users and messages."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, arguments: Any, named: Any
    ) -> HttpResponse | None:
        """Check requests of users who may see the list; all others are left to Django."""
        shown = getattr(view, "model_admin", None)
        match = request.resolver_match
        if shown is None or match is None or not shown.admin_site.has_permission(request):
            return None
        page = match.url_name or ""
        if page.endswith("_changelist"):
            return _look_at_list(shown, request)
        key = unquote(named.get("object_id", ""))
        if page.endswith(PAGES_OF_ROWS) and NUL in key:
            whole = reverse(f"admin:{page.rpartition('_')[0]}_changelist")
            return _led_back(request, f"There is no row with the key {_shortened(key)}.", whole)
        return None


def _look_at_list(shown: ModelAdmin[Any], request: HttpRequest) -> HttpResponse | None:
    for name, values in request.GET.lists():
        if not _offered(shown, request, name):
            sentence = f"This list has no such filter: {_shortened(name)}. All rows are shown."
            return _led_back(request, sentence, request.path)
        if any(NUL in value for value in values):
            sentence = f"What {name} asks for holds a character that is in no text. All rows are shown."
            return _led_back(request, sentence, request.path)
    for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
        if not _possible(shown, key):
            sentence = f"Nothing was done: there is no row with the key {_shortened(key)}."
            return _led_back(request, sentence, request.get_full_path())
    return None


def _led_back(request: HttpRequest, sentence: str, address: str) -> HttpResponse:
    messages.error(request, sentence)
    return HttpResponseRedirect(address)


def _offered(shown: ModelAdmin[Any], request: HttpRequest, name: str) -> bool:
    """Whether the parameter belongs to the list itself or to one of its filters."""
    if name in OWN_WORDS:
        return True
    for offered in shown.get_list_filter(request):
        if (parameter := getattr(offered, "parameter_name", None)) is not None:
            if name == parameter:
                return True
            continue
        field: Any = offered[0] if isinstance(offered, list | tuple) else offered
        if name == field:
            return True
        if name.startswith(field + LOOKUP_SEP) and name.rpartition(LOOKUP_SEP)[2] in OFFERED_LOOKUPS:
            return True
    return False


def _possible(shown: ModelAdmin[Any], key: str) -> bool:
    """Whether a row could have this primary key: right type, right range."""
    if NUL in key:
        return False
    try:
        shown.model._meta.pk.clean(key, None)
    except ValidationError:
        return False
    return True


def _shortened(text: str) -> str:
    return Truncator(text.replace(NUL, "\\0")).chars(SHOWN_MAX)
