"""Which source a file is of, and what decided in other files of its event that it cannot say.

Answers belong to an event and a source, and are used whole. A file is of the source whose columns its own are
most like, if it has all that decided there, and more columns or fewer, not both. What decided in any file of
the event is never passed over: a file of no source yet may be a part of each of them, and a file of a source
may be a part of one with which it has more in common than its source has. What it lacks of those is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count

import msgspec

from tickets.importing.answers import Answers, Question, source_key
from tickets.importing.presets import Preset, preset_of

UNANSWERED = Answers()


class StoredSource(msgspec.Struct, frozen=True):
    """The answers about the files of one source in one event, as they were imported last."""

    key: str
    columns: frozenset[str]
    """Of its last file, normalised."""
    answers: Answers
    elsewhere: bool = False
    """Whether it is of several events, of which this one has tickets: its answers are not for this event
    alone, but what decided is known."""

    def fits(self, columns: Collection[str]) -> bool:
        """Whether a file with these columns may be of this source."""
        whole = self.columns.issubset(columns) or self.columns.issuperset(columns)
        return whole and self.deciding.issubset(columns)

    @property
    def deciding(self) -> set[str]:
        """The columns that say who comes in, and when."""
        answers = self.answers
        values_of = {*answers.admits, *answers.refuses, *(answers.entered or ())}
        return values_of | {*answers.days, *answers.decides}


class Recognised(msgspec.Struct, frozen=True):
    """What is known of a file before anything is asked about it."""

    key: str = ""
    """Of its source, or the one that it begins."""
    source: StoredSource | None = None
    """None: its first file."""
    lost: Sequence[str] = ()
    """Columns that decided in files of the event, which this one lacks, and about which it is asked."""
    barred: Collection[str] = ()
    """Names of tickets that files of other sources left out by columns which this one lacks."""
    lacking: Collection[str] = ()
    """Those about which an answer is taken: also such as were called harmless for this source before."""

    @property
    def answers(self) -> Answers:
        """What was answered about the files of this source."""
        return self.source.answers if self.source else UNANSWERED

    @property
    def columns(self) -> Collection[str]:
        """The columns of the file before of this source; () for the first."""
        return self.source.columns if self.source else ()


UNRECOGNISED = Recognised()


def recognise(columns: Collection[str], preset: Preset, stored: Sequence[StoredSource]) -> Recognised:
    """Recognise the source of a file among those of its event."""
    own = [one for one in stored if not one.elsewhere]
    nearest = max(own, key=lambda one: _likeness(one.columns, columns), default=None)
    source = nearest if nearest and nearest.fits(columns) else None
    others = [one for one in stored if not _of_another_shop(one, preset)]
    alike = [one for one in others if source is None or one.columns.intersection(columns) - source.columns]
    lacked = [one for one in stored if one is not source and not one.deciding.issubset(columns)]
    return Recognised(
        source.key if source else _new_key(columns, preset, own),
        source,
        sorted({name for one in alike for name in one.deciding}.difference(columns)),
        {name for one in lacked for name in one.answers.barred},
        {name for one in stored for name in one.deciding}.difference(columns),
    )


def question_of_lost(column: str) -> Question:
    """Whether a column that the file lacks matters."""
    return Question(
        id=f"column:{column}",
        sentence=(
            f"A file before this one had the column {column!r}, which says who may come in, and this one "
            "lacks it. Export the file with that column. Or does it not matter for the tickets in "
            "this file?"
        ),
        column=column,
        answers=(f"harmless={column}",),
    )


def _likeness(one: frozenset[str], columns: Collection[str]) -> tuple[int, int]:
    """The fewest columns that only one of both has; among equals the most that both have."""
    return -len(one.symmetric_difference(columns)), len(one.intersection(columns))


def _of_another_shop(one: StoredSource, preset: Preset) -> bool:
    """Whether both are whole exports of known shops, of different ones: neither is a part of the other."""
    return bool(preset.name) and preset_of(one.columns).name not in ("", preset.name)


def _new_key(columns: Collection[str], preset: Preset, own: Sequence[StoredSource]) -> str:
    """A key that no source of the event has: one of the same columns may have got others since."""
    taken = {one.key for one in own}
    keys = (source_key(columns, f"{preset.name}{number or ''}") for number in count())
    return next(key for key in keys if key not in taken)
