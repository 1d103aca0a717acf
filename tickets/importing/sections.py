"""Rows of a table that are no tickets, and what they say of those below them.

A title such as "Waiting list:" may decide who comes in, and so may the header once more, with which another
list begins. So the title above a row is a column like any other: TITLE. An end mark and a total stand above
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tickets.importing import words
from tickets.importing.reading import NUMBER, REPEATED
from tickets.importing.record import Record

TITLE = "title above"
ASIDE_WIDTH = 3
"""Cells that the usual row fills at least, where a text and a number are no ticket."""


def under_titles(rows: Sequence[Record]) -> list[Record]:
    """Leave out the rows that are not tickets, and copy each title into the rows below it."""
    widths = [0 if row.problem or row.left_out else sum(map(bool, row.fields.values())) for row in rows]
    if 1 not in widths and widths[-1:] != [2] and all(row.left_out != REPEATED for row in rows):
        return [*rows]
    table, found = _Table(rows, widths), []
    title, tables = "", 1
    below = True
    """Whether a ticket stands below the title."""
    for at, row in enumerate(rows):
        said = ""
        if row.left_out == REPEATED:
            tables += 1
            said = f"table {tables}" if below else title
        elif texts := table.aside(at):
            said = texts[0] if below else f"{title} – {texts[0]}"
            why = f"is no ticket but a title, an end mark or a total: only {', '.join(texts)[:80]!r}"
            row = Record(row.number, {}, left_out=why)
        elif title and widths[at]:
            row = msgspec.structs.replace(row, fields=row.fields | {TITLE: title})
        title, below = said or title, not said and (below or bool(widths[at]))
        found.append(row)
    return found


class _Table:
    def __init__(self, rows: Sequence[Record], widths: Sequence[int]) -> None:
        self._rows, self._widths = rows, widths
        self._usual = sorted(widths)[len(widths) // 2]
        self._known: dict[str, list[str]] = {}

    def aside(self, at: int) -> list[str]:
        """The texts of a row that is no ticket: its one text, or in the last row a text and a number, is
        unlike what stands in its column; [] for a ticket."""
        width = self._widths[at]
        if width not in (1, 2) or self._usual < 2 or (width == 2 and at < len(self._rows) - 1):
            return []
        filled = {name: cell for name, cell in self._rows[at].fields.items() if cell}
        texts = [*filled.values()]
        if width == 2:
            (_, number) = filled
            total = NUMBER.fullmatch(filled[number]) and not _numbered(texts[0])
            if not total or self._usual < ASIDE_WIDTH or words.is_printed(number):
                return []
        return texts if all(self._is_unlike(name, cell, width) for name, cell in filled.items()) else []

    def _is_unlike(self, column: str, text: str, width: int) -> bool:
        """Whether a text is no code, if that is what other rows have in this column: it is neither as long as
        one of them, nor an only one with a digit."""
        others = self._cells(column)
        lengths, numbered = {*map(len, others)}, [*map(_numbered, others)]
        spaced = any(" " in cell for cell in others)
        codes = all(numbered) or len(lengths) == 1 or (any(numbered) and not spaced)
        shaped = len(text) in lengths or (width == 1 and _numbered(text) and " " not in text)
        unlike = not shaped or (" " in text and not spaced)
        if self._usual < ASIDE_WIDTH:
            return bool(others) and all(numbered) and not _numbered(text) and unlike
        return not codes or unlike

    def _cells(self, column: str) -> list[str]:
        """The filled cells of a column in the rows that are tickets as far as their width says it."""
        if column not in self._known:
            rows = zip(self._rows, self._widths, strict=True)
            least = min(self._usual, ASIDE_WIDTH)
            cells = (row.fields.get(column, "") for row, width in rows if width >= least)
            self._known[column] = [*filter(None, cells)]
        return self._known[column]


def _numbered(text: str) -> bool:
    return any(map(str.isdigit, text))
