"""What was answered about the files of a source, kept for the next of them."""

from __future__ import annotations

from typing import Any

import msgspec

from tickets.importing.answers import Answers
from tickets.models import ImportAnswers


def stored_answers() -> dict[str, Answers]:
    """Key of a source (ImportPlan.key) -> the answers of its last confirmed import."""
    rows = ImportAnswers.objects.values_list("key", "answers")
    return {key: msgspec.convert(answers, Answers) for key, answers in rows}


def store_answers(key: str, answers: dict[str, Any], *, actor: str, file_name: str) -> None:
    """Keep the answers of an import that was confirmed, instead of those before."""
    kept = {"answers": answers, "actor": actor, "file_name": file_name}
    ImportAnswers.objects.update_or_create(key=key, defaults=kept)
