"""Which values part the rows of a file into groups, and which name each row: told from the values alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from tickets.importing import words
from tickets.importing.days import is_day
from tickets.importing.source import Values

FEW = 12
"""At most so many different values part the rows into groups, though each stands once."""
NAMES_ROW = re.compile(r"\S*@\S+|(?=\S*\d)\S{8,}")
"""A text that names a row, if no two rows have the same: an address, or one like an id."""
STEM = re.compile(r"[^\W\d_]{2,}")
"""The word that a text begins with: "refunded" of "refunded by card 1003"."""
DATE = re.compile(
    r"\d{1,4}[./-](?:\d{1,2}|[^\W\d_]{3,9})[./-]\d{2,4}|(?<!\d)20\d{6}(?!\d)"
    r"|\d{1,2}[:.]\d{2}|(?<!\w)\d{1,2} ?[ap]\.?m(?!\w)"
    r"|^\D*(?:\d{1,2}\D+)*20\d\d(?:\D+\d{1,2})*\D*$"
)
"""A date or a time in some form, also in one that is not read: the last one is a year, beside short numbers
only."""
ID_MAX = 200
"""Characters of the longest id."""


def parts(values: Values) -> bool:
    """Whether a column parts the rows: a value stands in several of them, or only some rows fill it, or it
    has few values, or few words that they begin with, or a date or a time in some row. Addresses that repeat
    are those of who bought several tickets."""
    counts = values.counts
    if len(counts) < 2:
        return False
    if "" in counts or len(counts) <= FEW:
        return True
    repeats = counts.total() > len(counts) and not all("@" in value for value in counts)
    return repeats or _stems_part(counts) or any(map(DATE.search, counts))


def names_rows(column: str, values: Values) -> bool:
    """Whether a column of this normalised name names each row, as an id or an address does: its values part
    nothing."""
    counts = values.counts
    longest = max(map(len, counts), default=0)
    if max(counts.values(), default=0) != 1 or longest > ID_MAX or are_days(values):
        return False
    if words.is_record(column) or words.is_printed(column):
        return all(any(map(str.isdigit, value)) for value in counts)
    if not all(map(NAMES_ROW.fullmatch, counts)) or _stems_part(counts):
        return False
    return 2 * sum(map(bool, map(DATE.search, counts))) <= len(counts)


def are_days(values: Values) -> bool:
    """Whether all cells of a column are days in a form that is read, but for empty ones."""
    filled = [values.spelled[value] for value in values.counts if value]
    return len(filled) > 1 and all(map(is_day, filled))


def _stems_part(values: Collection[str]) -> bool:
    """Whether different values begin with few words. Where not all begin with one, each word has to repeat:
    ids happen to begin with letters."""
    stems = Counter(found[0] if (found := STEM.match(value)) else "" for value in values if "@" not in value)
    few = 1 < len(stems) <= FEW and 2 * len(stems) <= stems.total()
    return few and ("" not in stems or min(stems.values()) > 1)
