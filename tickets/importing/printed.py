"""What is printed on a ticket, where it stands in no column: text around the cells of one or more columns.

    https://venue.example/?ticket={Attendee ID}&key={Security Code}

A pattern is written so, or found from one text as the scanner reads it: its parts that are cells of one row.
"""

from __future__ import annotations

import re

from tickets.importing.record import Record, normalised
from tickets.importing.source import Source

PLACE = re.compile(r"\{([^{}]+)\}")
SHORTEST = 3
"""Characters of a cell that is looked for in a text: a shorter one stands there by chance."""


def columns_of(pattern: str, source: Source) -> list[str]:
    """The columns of the file, normalised, whose names stand in braces."""
    named = [normalised(name) for name in PLACE.findall(pattern)]
    return [name for name in named if name in source.columns]


def printed_text(pattern: str, record: Record, columns: list[str]) -> str:
    """What the scanner reads of a row; "" if one of the cells is empty."""
    if any(not record.code(name) for name in columns):
        return ""

    def cell(place: re.Match[str]) -> str:
        name = normalised(place[1])
        return record.code(name) if name in columns else place[0]

    return PLACE.sub(cell, pattern)


def pattern_in(text: str, source: Source) -> str:
    """The pattern of a text that the scanner reads, which is of the one row whose cells stand in it; the
    column alone, in braces, if it is one cell. "" if no row's cells do, or those of several."""
    patterns = {found for row in source.rows if (found := _of_row(text, row, source)) != text}
    return patterns.pop() if len(patterns) == 1 else ""


def _of_row(text: str, row: Record, source: Source) -> str:
    """The text with the cells of this row in it replaced by their columns, if one of them is this row's
    alone."""
    cells = [(row.code(name), name) for name in source.columns if len(row.code(name)) >= SHORTEST]
    inside = [(cell, name) for cell, name in cells if cell in text]
    own = [(cell, name) for cell, name in inside if _is_own(cell, name, source)]
    if not own:
        return text
    found: list[tuple[int, int, str]] = []
    for cell, name in sorted(own, key=lambda one: -len(one[0])):
        begins = text.index(cell)
        if all(begins + len(cell) <= other or begins >= ends for other, ends, _ in found):
            found.append((begins, begins + len(cell), name))
    pattern, at = "", 0
    for begins, ends, name in sorted(found):
        pattern += f"{text[at:begins]}{{{source.spelled(name)}}}"
        at = ends
    return pattern + text[at:]


def _is_own(cell: str, column: str, source: Source) -> bool:
    return sum(other == cell for other in source.cells(column)) == 1
