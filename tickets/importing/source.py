"""A whole file before its meaning is known: its columns, its rows, and which shop's export it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tickets.importing import words
from tickets.importing.header import Knows, Matters
from tickets.importing.presets import PRESETS, Preset, preset_of
from tickets.importing.reading import Records, open_records
from tickets.importing.record import FileRefused, Record, normalised
from tickets.importing.sections import under_titles

IN_PRESETS = frozenset(
    name
    for preset in PRESETS
    for columns in (
        preset.code,
        *preset.fields.values(),
        *(status.columns for status in preset.statuses),
        *(entry.columns for entry in preset.entries),
        preset.own,
    )
    for name in columns
    if name
)
IN_WORDS = frozenset(name for columns in words.FIELDS.values() for name in columns)


NAMED = 8
"""Most columns that are named of a sheet which is not read."""


class Source(msgspec.Struct):
    """The rows of a file under normalised column names."""

    form: str
    """How the file was read, such as "CSV, UTF-8, separated by comma"."""
    preset: Preset
    columns: list[str]
    rows: list[Record]
    shown: Mapping[str, str] = {}
    """Normalised column -> as the file spells it."""
    notes: list[str] = []
    sheets: list[str] = []
    events: list[dict[str, Any]] = []
    """Of our own export as JSON: what it says of its events."""
    _counted: dict[str, Values] = {}

    def column(self, name: str) -> str:
        """The normalised column that a person named; raises FileRefused if the file has none."""
        if (found := normalised(name)) in self.columns:
            return found
        listed = ", ".join(map(self.spelled, self.columns))
        raise FileRefused(f"The file has no column {name!r}. Columns found: {listed}.")

    def first(self, alternatives: Collection[str]) -> str:
        """The first of these columns that has a filled cell, else the first that the file has, else ""."""
        present = [name for name in alternatives if name in self.columns]
        return next((name for name in present if any(self.cells(name))), present[0] if present else "")

    def spelled(self, column: str) -> str:
        """A column as the file spells it, in one line."""
        return " ".join(self.shown.get(column, column).split())

    def cells(self, column: str) -> Iterator[str]:
        """The cells of a column in all rows that can be read; "" where one is missing."""
        return (row.fields.get(column, "") for row in self.rows if not (row.problem or row.left_out))

    def values(self, column: str) -> Values:
        """The different values of a column; not to be changed."""
        if column in self._counted:
            return self._counted[column]
        found = self._counted[column] = Values.of(self.cells(column))
        return found


class Values(msgspec.Struct):
    """The different values of a column, folded."""

    counts: Counter[str] = msgspec.field(default_factory=Counter)
    spelled: dict[str, str] = {}
    """Folded value -> as the file spells it first."""

    @classmethod
    def of(cls, cells: Iterable[str]) -> Values:
        """Those of these cells."""
        found = cls()
        for cell in cells:
            found.counts[value := words.value_of(cell)] += 1
            found.spelled.setdefault(value, value if value == words.ASTERISK else " ".join(cell.split()))
        return found

    def listed(self) -> list[tuple[str, int]]:
        """(value as spelled, number of rows), the most frequent first."""
        return [(self.spelled[value], count) for value, count in self.counts.most_common()]


def read_source(
    path: Path, *, chosen: Mapping[str, str] | None = None, sheet: str = "", hidden: bool = False
) -> Source:
    """Read a file to its end; raises FileRefused. `chosen`: field of words.FIELDS -> column of the file, ""
    for none. Of several sheets that fit, the only one of a known shop is read."""
    matters, knows = _used_by(chosen or {})

    def opened(name: str) -> Records:
        return open_records(path, matters=matters, knows=knows, sheet=name, hidden=hidden)

    records = opened(sheet)
    sheets = {name: opened(name).headers for name in records.sheets} if len(records.sheets) > 1 else {}
    of_preset = [name for name, headers in sheets.items() if preset_of(headers).name]
    if len(of_preset) == 1 and not sheet:
        sheet = of_preset[0]
        records = opened(sheet)
    columns = dict.fromkeys(name for name in records.headers if name)
    rows = []
    for row in under_titles([*records.rows]) if records.headers else records.rows:
        columns |= dict.fromkeys(row.fields)
        filled = {name: cell for name, cell in row.fields.items() if cell}
        rows.append(msgspec.structs.replace(row, fields=filled))
    if not rows:
        raise FileRefused("The file has no rows below its header.")
    unread = [_unread(name, headers) for name, headers in sheets.items() if sheet and name != sheet]
    return Source(
        form=records.form,
        preset=preset_of(columns),
        columns=list(columns),
        rows=rows,
        shown=records.headers,
        notes=[*records.notes, *unread],
        sheets=[] if sheet else list(sheets),
        events=records.events,
    )


def _used_by(chosen: Mapping[str, str]) -> tuple[Matters, Knows]:
    """Whether a column of a name is used, and whether columns identify tickets, given a person's choices."""
    named = {normalised(name) for name in chosen.values() if name}
    unread = {name for field, column in chosen.items() if not column for name in words.FIELDS.get(field, ())}

    def matters(name: str) -> bool:
        if name in named:
            return True
        known = name in IN_WORDS or name in IN_PRESETS or words.is_printed(name)
        return name not in unread and (known or words.names_status(name) or words.names_entry(name))

    def knows(header: Collection[str]) -> bool:
        whole = [name for name in header if name and not set(name) & set(";|\t")]
        printed = any(words.is_printed(name) or words.is_record(name) or name in named for name in whole)
        return printed or bool(preset_of(whole).name)

    return matters, knows


def _unread(sheet: str, headers: Mapping[str, str]) -> str:
    """A sentence about a sheet that is not read, with its first columns: one may decide who comes in."""
    names = list(headers.values())
    more = ", ..." if len(names) > NAMED else ""
    return f"Sheet {sheet!r} is not read; its columns: {', '.join(names[:NAMED])}{more}."
