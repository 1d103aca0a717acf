"""What was answered about the files of a source for an event, kept for the next of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from django.db.models import Q

from tickets.importing.answers import Answers
from tickets.importing.recognised import StoredSource
from tickets.models import ImportAnswers, TicketCode


def stored_sources(scope: str) -> list[StoredSource]:
    """The sources of which a file was imported for this scope (ImportPlan.scope), or which gave codes to the
    event of this name in a file of several events."""
    given = TicketCode.objects.filter(event=scope).exclude(source="").order_by().values("source").distinct()
    rows = ImportAnswers.objects.filter(Q(event=scope) | Q(key__in=given))
    return [
        StoredSource(
            row.key, frozenset(row.columns), msgspec.convert(row.answers, Answers), row.event != scope
        )
        for row in rows
    ]


def store_answers(
    scope: str, key: str, columns: Iterable[str], answers: dict[str, Any], *, actor: str, file_name: str
) -> None:
    """Keep the answers of a file that was imported, instead of those before."""
    kept = {"columns": sorted(columns), "answers": answers, "actor": actor, "file_name": file_name}
    ImportAnswers.objects.update_or_create(event=scope, key=key, defaults=kept)
