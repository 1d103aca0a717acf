"""Codes that a file leaves out open nothing by another file of the event that cannot say why.

A source keeps names made up from the codes that it left out (plan.made_up). A file that names one and lacks
what it was left out by is asked, also if a person called that harmless before: of other tickets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tickets.importing.answers import Answers, Question
from tickets.importing.recognised import StoredSource, question_of_lost

BARRED_MAX = 20_000
"""Most names that a source keeps, and that an answer lets in."""


def barred_elsewhere(
    names: Collection[str], columns: Collection[str], key: str, stored: Collection[StoredSource]
) -> Iterator[tuple[str, set[str]]]:
    """Columns that a file lacks, with those of its tickets that another source than `key` left out; `names`:
    of the tickets that it would let in."""
    for source in stored:
        barred = set(names).intersection(source.answers.barred) if source.key != key else set()
        if barred:
            yield from ((column, barred) for column in sorted(source.deciding.difference(columns)))


def questions_of(found: dict[str, set[str]], given: Answers) -> list[Question]:
    """One about each of these columns, unless a person says of this very file that it is harmless."""
    return [
        question_of_lost(column, len(barred))
        for column, barred in found.items()
        if column not in given.harmless
    ]


def kept_barred(before: Collection[str], refused: Collection[str], admitted: Collection[str]) -> list[str]:
    """The names that a source keeps after a file: of those before all that this one does not let in."""
    others = sorted({*before}.difference(refused, admitted))
    return [*sorted(refused), *others][:BARRED_MAX]
