"""Finds the header among the first rows of a table: the row that names the columns, not a title above it and
not the first ticket of a file without one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from tickets.importing.record import FileRefused, normalised, shown

HEAD_ROWS = 20
"""Rows, of those that are not blank, among which the header is searched."""
COLUMNS_MAX = 16_384
"""Most columns of a table, as in Excel."""
ROWS_MAX = 1_048_576
"""Most rows of a table, as in Excel."""
CELLS_MAX = 20_000_000
TOO_LARGE = f"is larger than {ROWS_MAX:,} rows or {CELLS_MAX:,} cells: split it."
INVOICE = frozenset({"company", "address", "zip code", "city", "country", "state"})
"""Columns that pretix's exports have twice under the same names: first for the attendee, then for the
invoice."""

Matters = Callable[[str], bool]
"""Whether a column, by its normalised name, is used."""
Knows = Callable[[Mapping[str, object]], bool]
"""Whether columns, by their normalised names, identify tickets."""


class Row(NamedTuple):
    """A row that is not blank, as a spreadsheet numbers it."""

    number: int
    cells: list[str]
    problem: str = ""
    """Why it cannot be read."""
    hidden: bool = False
    torn: bool | None = None
    """Whether the file ends in it, perhaps inside its last cell. None for a row of a sheet: the cells that it
    lacks are empty."""
    damaged: Mapping[int, str] = {}
    """Index of a cell -> see `Record.damaged`."""
    notes: Mapping[int, str] = {}


class Header(NamedTuple):
    """The row with the names of the columns."""

    row: int
    cells: list[str]
    fits: bool
    """Whether its columns identify tickets."""
    above: list[str]
    """The filled cells of the rows above it."""
    at: int
    """Its index among the first rows."""

    @property
    def names(self) -> list[str]:
        """The columns' normalised names, "" for one without a name."""
        return [normalised(cell) for cell in self.cells]

    @property
    def unique_names(self) -> list[str]:
        """A name for each column: see `Record.fields`."""
        found: dict[str, None] = {}
        names = self.names
        known = set(names)
        for column, name in enumerate(names, 1):
            own = name or f"column {column}"
            while own in found or (own in known and own != name):
                own += f" (column {column})"
            found[own] = None
        return list(found)

    @property
    def shown(self) -> dict[str, str]:
        """Normalised name -> the name as it is in the file."""
        found: dict[str, str] = {}
        for cell in filter(shown, self.cells):
            found.setdefault(normalised(cell), shown(cell))
        return found


def find_header(head: Sequence[Row], knows: Knows, matters: Matters) -> Header | None:
    """The header among a table's first rows: the first one as wide as the table, unless a later one says
    better which columns identify tickets. None if the table begins with data. Raises FileRefused if the first
    row cannot be read."""
    if head and head[0].problem:
        raise FileRefused(f"Row {head[0].number} {head[0].problem}.")
    widths = sorted(_filled(row.cells) for row in head)
    # Not the widest one: a row may have stray cells.
    usual = widths[3 * (len(widths) - 1) // 4] if widths else 0
    first = narrow = None
    begun = False
    for at, row in enumerate(head):
        names = [name for cell in row.cells if (name := normalised(cell))]
        wide = 2 * len(names) > usual
        near = (*head[at + 1 : at + 2], *head[at - 1 : at])
        if _is_data(row.cells, near[0].cells if near else [], matters):
            begun = begun or (wide and first is None)
            continue
        above = [cell.strip() for one in head[:at] for cell in one.cells if cell.strip()]
        header = Header(row.number, row.cells, knows(dict.fromkeys(names)), above, at)
        # Of a ticket, one cell may happen to be a column's name.
        known = sum(map(matters, names))
        if wide and header.fits and (known > 1 or known == len(names)):
            return header
        if wide:
            first = first or header
        elif header.fits:
            narrow = narrow or header
    return None if begun else first or narrow


def check_header(header: Header, matters: Matters) -> None:
    """Raise FileRefused for a used name of two columns: it is not clear which of them counts."""
    names = header.names
    # The column before this one is the invoice's company.
    invoice = names.index("invoice address name") - 1 if "invoice address name" in names else len(names)
    first: dict[str, int] = {}
    for column, name in enumerate(names):
        before = first.setdefault(name, column)
        of_invoice = name in INVOICE and before < invoice <= column
        if name and before < column and matters(name) and not of_invoice:
            raise FileRefused(
                f"The header names the column {shown(header.cells[before])!r} twice, as columns {before + 1}"
                f" and {column + 1}: rename or remove one of them."
            )


def _filled(cells: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in cells)


def _is_data(cells: Sequence[str], near: Sequence[str], matters: Matters) -> bool:
    """Whether half of these cells are values, and none of the others is a known name. `near`: the row below,
    or above."""
    pairs = [(cell.strip(), other.strip()) for cell, other in zip_longest(cells, near, fillvalue="")]
    names = [cell for cell, other in pairs if cell and not _is_value(cell, other)]
    return 2 * len(names) <= _filled(cells) and not any(matters(normalised(cell)) for cell in names)


def _is_value(cell: str, other: str) -> bool:
    """Whether a cell is a number, a time, true or false, an address, or a text like the one next to it."""
    if cell == other or cell.lower() in ("true", "false") or re.fullmatch(r"\S+@\S+", cell):
        return True
    if not any(character.isdigit() for character in cell):
        return False
    return not any(character.isalpha() for character in cell) or any(
        re.sub(form, "x", cell) == re.sub(form, "x", other) for form in (r"[^\W_]", r"[0-9]+|[^\W\d_]+")
    )
