"""Which columns tell the orders of a file apart: each other one may put them into groups, and is asked about.

One rule for all columns, whatever they are called. One is passed over if it holds e-mail addresses, the
numbers of orders, an id of each row, or, where it is read as known of the guest, texts each of which stands
in one order. A word for a status, and days alone, tell nothing apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property

from tickets.importing import words
from tickets.importing.days import is_day
from tickets.importing.layout import Layout
from tickets.importing.source import Source, Values
from tickets.importing.words import PERSONAL

FORMS = {
    "email": re.compile("@"),
    "order": re.compile(r"\d|^[A-Z]+$"),
    "position": re.compile(r"\d"),
    "phone": re.compile(r"\d"),
    "zip": re.compile(r"\d"),
}
"""Field -> what each of its texts has; some orders have capitals alone."""
HAS_DIGIT = re.compile(r"\d").search
ADDRESS = re.compile(r"\S+@\S+")
WHOLE = ("first_name", "last_name")
"""Fields that only together name a guest."""
OF_GUEST = {*PERSONAL, *FORMS, "country", "seat"}
"""Fields that decide nothing."""


class Parting:
    """The columns of a file. `printed`: those that the scanner reads."""

    def __init__(self, source: Source, layout: Layout, printed: Collection[str]) -> None:
        self._source, self._layout, self._printed = source, layout, printed

    def fields_of(self, column: str) -> set[str]:
        """The fields that are read from a column."""
        return {field for field, names in self._layout.columns.items() if column in names}

    def tells_apart(self, column: str) -> bool:
        """Whether a column tells the orders apart."""
        values = self._source.values(column)
        filled = [values.spelled[value] for value in values.counts if any(map(str.isalnum, value))]
        if words.has_status(values.counts) or all(map(is_day, filled)):
            return False
        fields = self.fields_of(column)
        if not all(FORMS[field].search(text) for field in fields.intersection(FORMS) for text in filled):
            return False
        if "order" in fields:
            numbered, letters = (
                {len(text) for text in filled if text.isalpha() is alone} for alone in (False, True)
            )
            return letters <= numbered or len(letters | numbered) == 1
        if fields.intersection(("email", "position")):
            return True
        if fields or all(map(ADDRESS.fullmatch, values.counts)):
            return self._stands_in_one_order(column)
        named = words.is_record(column) or words.is_printed(column)
        return named and max(values.counts.values()) == 1 and all(map(HAS_DIGIT, values.counts))

    def _stands_in_one_order(self, column: str) -> bool:
        """Whether each text of a column, or each whole name, stands in the rows of one order."""
        of_name = [name for field in WHOLE for name in self._layout.columns.get(field, ())]
        columns = of_name if column in of_name else [column]
        texts = (" ".join(cells) for cells in zip(*map(self._source.cells, columns), strict=True))
        pairs = {
            (words.folded(text), order)
            for text, order in zip(texts, self._orders, strict=True)
            if any(map(str.isalnum, text))
        }
        return len({text for text, _ in pairs}) == len(pairs)

    @cached_property
    def _orders(self) -> list[str]:
        """Of each row what stands for its order: the number, the buyer's address, the code, or the row."""
        named = filter(None, map(self._layout.column, ("order", "email")))
        several = [name for name in named if len(self._source.values(name).counts) > 1]
        columns = [*filter(self.tells_apart, several)][:1] or [*self._printed]
        rows = sum(1 for _ in self._source.cells(""))
        cells = [*zip(*map(self._source.cells, columns), strict=True)] or [()] * rows
        return ["\n".join(each).strip() or f"\n{row}" for row, each in enumerate(cells)]


def are_days(values: Values) -> bool:
    """Whether all cells of a column are days in a form that is read, but for empty ones."""
    filled = [values.spelled[value] for value in values.counts if value]
    return len(filled) > 1 and all(map(is_day, filled))
