"""Admin list actions that ask first, on a page that names the consequence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

NAMED_MAX = 20
"""Rows that the question names one by one."""
REPEATED = ("action", "reason", "select_across")
"""Fields of the list's form that the confirmation sends again."""
ASKED_ABOUT = "asked_about"
"""Field of the confirmation: `digest_of` the rows that the question was about."""

TOLD = "told"
"""Field of the confirmation: the consequence that the question named."""

Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]


def confirmed(verb: str, consequence: Callable[[QuerySet[Any]], str]) -> Callable[[Action], Action]:
    """Decorator for an action of `BulkActions`, which asks `question` before it runs the action. `verb`:
    begins the question, and its first word is the label of the button; `consequence`: sentences about what
    follows for these rows."""

    def ask_first(action: Action) -> Action:
        action.asks = (verb, consequence)  # type: ignore[attr-defined]
        return action

    return ask_first


def question(
    action: Callable[..., Any], model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]
) -> HttpResponse | None:
    """The page that asks before this action on these rows; None if it needs none, or if the request confirms
    the consequence as it is now. One that has changed since the question is asked about again."""
    asks = getattr(action, "asks", None)
    if asks is None:
        return None
    verb, consequence = asks[0], asks[1](queryset)
    answered = request.POST.get("confirmed") == "yes"
    if answered and request.POST.get(TOLD) == consequence:
        return None
    if answered:
        said = "Nothing changed yet: what follows is no longer what the question said."
        model_admin.message_user(request, said, messages.WARNING)
    return _question(model_admin, request, queryset, verb, consequence)


def digest_of(queryset: QuerySet[Any]) -> str:
    """A digest of the keys of these rows."""
    digest = hashlib.sha256()
    for key in queryset.order_by("pk").values_list("pk", flat=True).iterator():
        digest.update(f"{key}\n".encode())
    return digest.hexdigest()


def _question(
    model_admin: Any, request: HttpRequest, queryset: QuerySet[Any], verb: str, consequence: str
) -> HttpResponse:
    count, opts = queryset.count(), model_admin.opts
    named = [str(row) for row in queryset[:NAMED_MAX]]
    fields = [(name, request.POST[name]) for name in REPEATED if name in request.POST]
    keys = [(ACTION_CHECKBOX_NAME, key) for key in request.POST.getlist(ACTION_CHECKBOX_NAME)]
    rows = named[0] if count == 1 else f"{count} {opts.verbose_name_plural}"
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"{verb} {rows}?",
        "opts": opts,
        "verb": verb.partition(" ")[0],
        "consequence": consequence,
        "named": named,
        "more": count - len(named),
        "fields": [*fields, *keys, (ASKED_ABOUT, digest_of(queryset)), (TOLD, consequence)],
    }
    return TemplateResponse(request, "admin/confirm.html", context)
