"""What was answered about the files of a source for an event, kept for the next of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from django.contrib.auth.models import User
from django.db.models import Q

from tickets.importing.answers import Answers
from tickets.importing.recognised import StoredSource
from tickets.models import ImportAnswers, TicketCode
from validators.models import ApiKey

DECIDING = (
    *("code", "admits", "entrances", "entered", "quantity", "cells", "repeats", "timezone"),
    *("events", "columns", "harmless", "days", "within", "hidden", "stewards_see_why"),
)
"""Of the answers those that a person gives about a file and that say who comes in; others follow from it."""


SCOPE_OF_SEVERAL = "^[0-9a-f]{64}$"
"""What ImportPlan.scope is for a file that names several events: no other event's answers are taken."""


def stored_sources(scope: str) -> list[StoredSource]:
    """The sources of which a file was imported for this scope (ImportPlan.scope), or which gave codes to the
    event of this name in a file of several events."""
    given = TicketCode.objects.filter(event=scope).exclude(source="").order_by().values("source").distinct()
    several = Q(key__in=given, event__regex=SCOPE_OF_SEVERAL)
    rows = ImportAnswers.objects.filter(Q(event=scope) | several)
    return [
        StoredSource(
            row.key, frozenset(row.columns), msgspec.convert(row.answers, Answers), row.event != scope
        )
        for row in rows
    ]


def left_by(scope: str, key: str) -> str:
    """A warning where whoever answered for a source has no login any more; "" where they have one. Files go
    on being imported: cancellations must arrive."""
    actor = ImportAnswers.objects.filter(event=scope, key=key).values_list("actor", flat=True).first() or ""
    kind, _, name = actor.partition(":")
    if kind == "user":
        there = User.objects.filter(username=name, is_active=True).exists()
    elif kind == "key" and name.isdigit():
        there = ApiKey.objects.usable().filter(pk=int(name)).exists()
    else:
        there = True
    if there:
        return ""
    who = "The key" if kind == "key" else f"The person ({name})"
    return f"{who} that answered for the last file of this source has no login any more. Check the answers."


def changed(now: Answers, key: str, sources: Iterable[StoredSource]) -> list[str]:
    """Names of what is answered about a file of this source and was not so when the last one was imported."""
    stored = next((each.answers for each in sources if each.key == key), Answers())
    return [name for name in DECIDING if not _holds(getattr(stored, name), getattr(now, name))]


def _holds(stored: Any, now: Any) -> bool:
    """Whether the stored answer says as much as this one."""
    match now:
        case dict():
            return all(_holds((stored or {}).get(name), value) for name, value in now.items())
        case list():
            return set(now) <= set(stored or ())
        case _:
            return not now or bool(now == stored)


def store_answers(
    scope: str, key: str, columns: Iterable[str], answers: dict[str, Any], *, actor: str, file_name: str
) -> None:
    """Keep the answers of a file that was imported, instead of those before."""
    kept = {"columns": sorted(columns), "answers": answers, "actor": actor, "file_name": file_name}
    ImportAnswers.objects.update_or_create(event=scope, key=key, defaults=kept)
