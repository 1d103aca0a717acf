"""Plans of small files, for tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.importing.exports import as_csv
from tickets.importing import ImportPlan, Known, read_plan
from tickets.importing.answers import answers_from
from tickets.importing.plan import Stored, nothing_stored
from tickets.importing.recognised import StoredSource

FEST = Known(event="fest", events=("fest",))


def plan(
    tmp_path: Path,
    content: bytes | str | Any,
    *,
    known: Known = FEST,
    stored: Stored = nothing_stored,
    **answers: Any,
) -> ImportPlan:
    path = tmp_path / "file"
    match content:
        case bytes():
            path.write_bytes(content)
        case str():
            path.write_text(content, encoding="utf-8")
        case _:
            path.write_text(json.dumps(content), encoding="utf-8")
    return read_plan(path, answers_from(**answers), known=known, stored=stored)


def pretix(tmp_path: Path, *rows: list[str], **answers: Any) -> ImportPlan:
    return plan(tmp_path, as_csv(*rows), **{"entrances": "Day ticket", **answers})


def plain(tmp_path: Path, content: str, **answers: Any) -> ImportPlan:
    return plan(tmp_path, content, **{"code": "ticket_id", "timezone": "UTC", **answers})


def reason(found: ImportPlan) -> str:
    assert (found.tickets, found.left_out) == ([], [])
    (row,) = found.wrong
    return row.reason


def asked(found: ImportPlan) -> list[str]:
    return [question.id for question in found.questions]


def codes(found: ImportPlan) -> list[str]:
    return [code for ticket in found.tickets for code in ticket.codes]


def moment(*parts: int) -> int:
    return int(datetime(*parts).replace(tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[arg-type]  # noqa: DTZ001


def stored_of(*imported: ImportPlan) -> Stored:
    """What is stored once these files are imported, one after another."""
    sources = {
        found.key: StoredSource(found.key, frozenset(found.columns), found.answers) for found in imported
    }
    return lambda scope: list(sources.values()) if scope == imported[0].scope else []
