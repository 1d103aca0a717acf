"""What is printed on a ticket, where it stands in no column: text around the cells of one or more columns.

    https://venue.example/?ticket={Attendee ID}&key={Security Code}

A pattern is written so, or found from one text as the scanner reads it: its parts that are cells of one row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from os.path import commonprefix
from string import digits
from urllib.parse import unquote

from tickets.importing.record import Record, normalised
from tickets.importing.settled import Decided
from tickets.importing.source import Source

PLACE = re.compile(r"\{([^{}]+)\}")
SHORTEST, OWN_SHORTEST, SHARED_SHORTEST = 2, 3, 4
"""Characters of a cell that is looked for in a text, and of one that names its row alone: fewer are there by
chance."""
ALIKE_MAX = 20
"""Rows whose cells explain a text alike that are compared."""
GUESSED_DIGITS = 6
"""A number of at most so many digits can be guessed."""
NUMBERS_MIN = 5
"""Of more numbers than this it shows whether they are at equal steps."""
UNKNOWN = re.compile(r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{6,}|(?<==)[A-Za-z0-9_-]{6,}")
"""What may be another one on each ticket: a word with a digit, or the value of a web address."""
Place = tuple[int, int, str]
"""Begin and end in the text, and column."""
Counts = Mapping[str, Counter[str]]
"""Column -> how many rows have each cell."""


def columns_of(pattern: str, source: Source) -> list[str]:
    """The columns of the file, normalised, whose names stand in braces."""
    named = [normalised(name) for name in PLACE.findall(pattern)]
    return [name for name in named if name in source.columns]


def code_of(decided: Decided, record: Record) -> str:
    """What the scanner reads of a row; "" if one of its cells is empty."""
    columns = decided.printed
    if not decided.pattern:
        return record.code(decided.code)
    if any(not record.code(name) for name in columns):
        return ""

    def cell(place: re.Match[str]) -> str:
        name = normalised(place[1])
        return record.code(name) if name in columns else place[0]

    return PLACE.sub(cell, decided.pattern)


def varying_part(decided: Decided, record: Record) -> str:
    """What of it is another one in each row."""
    return "".join(map(record.code, decided.printed))


def guessed(texts: Iterable[str]) -> list[str]:
    """Those of these texts that somebody may guess: short numbers, else all numbers if they are at equal
    steps."""
    numbered = [text for text in texts if text.isascii() and text.isdigit()]
    if short := [text for text in numbered if len(text) <= GUESSED_DIGITS]:
        return short
    numbers = sorted(set(map(int, numbered)))
    steps = Counter(after - before for before, after in pairwise(numbers))
    even = len(numbers) > NUMBERS_MIN and 2 * max(steps.values()) > len(numbers)
    return numbered if even else []


def numbers_of(texts: Collection[str]) -> list[str]:
    """The texts without what all of them begin with, such as "T-": whoever has one ticket knows that."""
    alike = commonprefix([*texts]).rstrip(digits)  # noqa: RUF071 - of texts, not of paths
    return [text[len(alike) :] for text in texts]


def unknown_part(pattern: str) -> str:
    """A part of a text as the scanner reads it that stands in no column and may be another one on each
    ticket; "" without one."""
    found = UNKNOWN.search(unquote(PLACE.sub("{}", pattern)))
    return found[0] if found else ""


def pattern_in(text: str, source: Source) -> str:
    """The pattern of a text that the scanner reads, which is of the one row whose cells explain most of it;
    "" if no row's cells do, or those of several rows alike."""
    counts = {name: Counter(row.code(name) for row in source.rows) for name in source.columns}
    most, rows = 0, list[Record]()
    for row in source.rows:
        explained = sum(end - begin for begin, end, _ in _places(text, row, counts))
        if explained > most:
            most, rows = explained, []
        if explained == most > 0:
            rows.append(row)
    patterns = {_pattern(text, row, counts, source) for row in rows[:ALIKE_MAX]}
    return patterns.pop() if len(patterns) == 1 else ""


def _places(text: str, row: Record, counts: Counts) -> list[Place]:
    """Where cells of this row stand in the text, the longest first, none upon another: those that no other
    row has in its column, else all."""
    inside = [(row.code(name), name) for name in counts if len(row.code(name)) >= SHORTEST]
    inside = [(cell, name) for cell, name in inside if cell in text]
    own = [(cell, name) for cell, name in inside if counts[name][cell] == 1 and len(cell) >= OWN_SHORTEST]
    if own:  # an order that stands beside it is another ticket's too, and in other tickets another one
        own += [
            (cell, name) for cell, name in inside if len(cell) >= SHARED_SHORTEST and len(counts[name]) > 1
        ]
    places: list[Place] = []
    for cell, name in sorted(own or inside, key=lambda one: -len(one[0])):
        begins = _free_place(text, cell, places)
        if begins >= 0:
            places.append((begins, begins + len(cell), name))
    return places


def _pattern(text: str, row: Record, counts: Counts, source: Source) -> str:
    """The text with the cells of this row as columns: those that only this row has, else as few as no other
    row has together; "" if another row has all of them."""
    places = _places(text, row, counts)
    if not any(counts[name][row.code(name)] == 1 for _, _, name in places):
        for number in range(1, len(places) + 1):
            names = [name for _, _, name in places[:number]]
            if _is_alone(row, names, source):
                places = places[:number]
                break
        else:
            return ""
    pattern, at = "", 0
    for begins, ends, name in sorted(places):
        pattern += f"{text[at:begins]}{{{source.spelled(name)}}}"
        at = ends
    return pattern + text[at:]


def _is_alone(row: Record, names: list[str], source: Source) -> bool:
    """Whether no other row has the same cells in these columns."""
    return not any(
        other is not row and all(other.code(name) == row.code(name) for name in names)
        for other in source.rows
    )


def _free_place(text: str, cell: str, taken: list[Place]) -> int:
    """Where the cell stands in the text outside the places that are taken; -1 for nowhere."""
    begins = text.find(cell)
    while begins >= 0 and any(begins < end and begin < begins + len(cell) for begin, end, _ in taken):
        begins = text.find(cell, begins + 1)
    return begins
