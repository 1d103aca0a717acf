"""What was answered about the files of a source for an event, kept for the next of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tickets.importing.answers import Answers, StoredSource
from tickets.models import ImportAnswers


def stored_sources(scope: str) -> list[StoredSource]:
    """The sources of which a file was confirmed for this scope (ImportPlan.scope)."""
    rows = ImportAnswers.objects.filter(event=scope).values_list("key", "columns", "answers")
    return [
        StoredSource(key, frozenset(columns), msgspec.convert(answers, Answers))
        for key, columns, answers in rows
    ]


def store_answers(
    scope: str, key: str, columns: Iterable[str], answers: dict[str, Any], *, actor: str, file_name: str
) -> None:
    """Keep the answers of an import that was confirmed, instead of those before."""
    kept = {"columns": sorted(columns), "answers": answers, "actor": actor, "file_name": file_name}
    ImportAnswers.objects.update_or_create(event=scope, key=key, defaults=kept)
