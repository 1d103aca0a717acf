"""Whether a column that a field is read from holds what that field is.

What is known of a guest, the order and the seat decides nothing, so its columns are not asked about. But they
are found by their names, and `City` may be that of the concert, `Order` whether it is paid. A column is
unlike its field, and asked about as if nothing read it, if

* one of its cells has not the form of the field: an e-mail address has an @, and a telephone number, the
  number of an order and a zip code have digits;
* one of its cells is a word for a status, or all of them are dates;
* few texts stand in many rows, which is strange for a seat or a guest, or one text without a digit stands in
  two rows between seats with a number. The rows of one order, or of one code, count as one: they have one
  buyer. City and country are exempt beside a street or a zip code: then they are those of an address.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cached_property

from tickets.importing import words
from tickets.importing.layout import Layout
from tickets.importing.parting import DATE, FEW
from tickets.importing.source import Source, Values

FORMS = {
    "email": re.compile("@"),
    "phone": re.compile(r"\d"),
    "zip": re.compile(r"(?=.*\d)..."),
    "order": re.compile(r"\d"),
    "position": re.compile(r"\d"),
}
"""Field -> what each of its cells has."""
WHOLE = ("first_name", "last_name")
"""Fields that only together name a guest."""
GROUPED = ("seat", "phone", "name", *WHOLE, "company", "street", "city", "country")
"""Fields of which few texts in many rows are strange."""
FIELDS = dict.fromkeys([*FORMS, *GROUPED])


def unlike_fields(source: Source, layout: Layout, printed: Collection[str]) -> set[str]:
    """The columns that only such fields are read from, and that are unlike one of them. `printed`: those that
    the scanner reads."""
    kinds = _Kinds(source, layout, printed)
    deciding = {name for field, names in layout.columns.items() if field not in FIELDS for name in names}
    return {
        name
        for field in FIELDS
        for name in layout.columns.get(field, ())
        if name not in deciding and kinds.unlike(field, name)
    }


class _Kinds:
    def __init__(self, source: Source, layout: Layout, printed: Collection[str]) -> None:
        self._source, self._layout, self._printed = source, layout, printed

    def unlike(self, field: str, column: str) -> bool:
        """Whether a column is unlike the field that is read from it."""
        values = self._source.values(column)
        if words.has_status(values.counts):
            return True
        if len(values.counts) < 2:
            return False
        if not all(_formed(field, values)):
            return True
        if field not in GROUPED or (field in ("city", "country") and self._addressed):
            return False
        if self._groups(field, column, values) or (field != "phone" and all(map(DATE.search, values.counts))):
            return True
        repeated = (value for value, count in values.counts.items() if value and count > 1)
        numbered = field == "seat" and any(map(_has_digit, values.counts))
        return numbered and not all(map(_has_digit, repeated))

    @cached_property
    def _addressed(self) -> bool:
        """Whether the file has addresses, to which a city and a country belong."""
        return any(
            any(self._source.values(column).counts) and not self.unlike(field, column)
            for field in ("street", "zip")
            for column in self._layout.columns.get(field, ())
        )

    def _groups(self, field: str, column: str, values: Values) -> bool:
        """Whether few texts of a column, or of the names that belong to it, stand in many orders each."""
        if len(values.counts) > FEW + 1:
            return False
        fields = WHOLE if field in WHOLE else (field,)
        columns = [name for one in fields for name in self._layout.columns.get(one, ()) if one in WHOLE]
        cells = zip(*map(self._source.cells, columns or [column]), strict=True)
        texts = (words.folded(" ".join(filter(None, each))) for each in cells)
        filled = {(unit, text) for unit, text in zip(self._units, texts, strict=True) if text}
        different = {text for _, text in filled}
        return (
            len(different) <= FEW
            and 2 * len(different) <= len(filled)
            and (len(different) > 1 or "" in values.counts)
        )

    @cached_property
    def _units(self) -> list[str]:
        """What each row counts to: its order, else its code, else itself."""
        order = self._layout.column("order")
        columns = [order] if order and not self.unlike("order", order) else [*self._printed]
        cells = zip(*map(self._source.cells, columns), strict=True) if columns else ()
        found = ["\n".join(each) for each in cells]
        rows = sum(1 for _ in self._source.cells(""))
        return [unit.strip() or f"\n{row}" for row, unit in enumerate(found or [""] * rows)]


def _formed(field: str, values: Values) -> Iterator[bool]:
    """Of each text of a column whether it has the form of the field; a dash stands for none. The numbers of
    orders may be letters alone: as many as one with digits has, or as many capitals as all have."""
    if (form := FORMS.get(field)) is None:
        return
    texts = [values.spelled[value] for value in values.counts if any(map(str.isalnum, value))]
    alike: set[int] = set()
    if field == "order":
        alike = {len(text) for text in texts if form.search(text)} or {len(text) for text in texts}
        capitals = all(map(str.isupper, texts)) and len(alike) == 1
        alike = alike if capitals or any(map(form.search, texts)) else set()
    for text in texts:
        yield form.search(text) is not None or (" " not in text and len(text) in alike)


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))
