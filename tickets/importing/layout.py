"""Which column of a file holds what: the person's choice, then the preset's names, then common words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tickets.importing.record import Record
from tickets.importing.source import Source
from tickets.importing.words import FIELDS, PERSONAL


class Layout:
    """Fields of words.FIELDS and the columns that they are read from."""

    def __init__(self, source: Source, chosen: Mapping[str, str]) -> None:
        """`chosen`: field -> column as a person named it, "" for none. Raises FileRefused if the file lacks
        such a column."""
        self._source = source
        self.columns: dict[str, list[str]] = {}
        for field in FIELDS:
            if found := list(self._found(field, chosen)):
                self.columns[field] = found

    def _found(self, field: str, chosen: Mapping[str, str]) -> Iterator[str]:
        if field in chosen:
            if chosen[field]:
                yield self._source.column(chosen[field])
            return
        alternatives = self._source.preset.fields.get(field, FIELDS[field])
        if field in PERSONAL:
            yield from (name for name in alternatives if name in self._source.columns)
        elif name := self._source.first(alternatives):
            yield name

    def column(self, field: str) -> str:
        """The column of a field, "" without one."""
        return next(iter(self.columns.get(field, ())), "")

    def text(self, field: str, record: Record) -> str:
        """The first filled cell of a field in this row, in one line; "" without one."""
        cells = (record.fields.get(name, "") for name in self.columns.get(field, ()))
        return next((" ".join(cell.split()) for cell in cells if cell), "")

    def name(self, record: Record) -> str:
        """The guest's whole name: first and last are joined, also where a column "name" is one of the two."""
        first, last, whole = (self.text(field, record) for field in ("first_name", "last_name", "name"))
        if (first and last) or not whole:
            return " ".join(filter(None, (first, last)))
        if (first or last) in whole:
            return whole
        return " ".join(filter(None, (first, whole, last)))

    def product(self, record: Record) -> str:
        """Product and variation of a row, as one name."""
        return " – ".join(filter(None, (self.text("product", record), self.text("variation", record))))

    def read(self) -> set[str]:
        """All columns that some field is read from."""
        return {name for columns in self.columns.values() for name in columns}
