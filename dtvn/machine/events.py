"""The events of tickets as the log knows them: what was said of each, products, and the salt of its codes.

An event needs no row: tickets may be issued in one that was not created. Its row is made by set_event, or,
with its defaults only (`declared` is False), by the first code, so that the salt outlives the cluster (R11).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from dtvn.machine import codes
from dtvn.machine.lists import MAIN, MAIN_SLUG, EventList
from dtvn.machine.rows import EventRow

EVENTS_MAX = 10_000
"""Most rows of events; beyond it, what would make another is refused `full`. Execution depends on it."""
PRODUCTS_MAX = 1_000
"""Most products of an event; beyond it, what would add another is refused `full`."""

Moment = tuple[int, int, int]
"""(sequence, index, effective timestamp) of an operation."""


class Events:
    """All rows of events; calls `touch((slug,))` for each that changed."""

    def __init__(self, cluster_id: bytes, touch: Callable[[tuple[str]], None]) -> None:
        self._cluster_id = cluster_id
        self._touch = touch
        self._rows: dict[str, EventRow] = {}
        self._admits: dict[str, dict[str, bool]] = {}
        """Event that was created -> product -> whether it admits: derived from its row."""
        self._lists: dict[str, dict[str, EventList]] = {}
        """Event -> slug -> list that is written down: derived from its row."""

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, event: str) -> EventRow | None:
        """The row of an event, None if it has none."""
        return self._rows.get(event)

    def declared(self, event: str) -> bool:
        """Whether somebody created the event."""
        return event in self._admits

    def ids_are_codes(self, event: str) -> bool:
        """Whether a scanned text may be the id of a ticket: in an event that was not created, it may."""
        return event not in self._admits or self._rows[event].ids_are_codes

    def salt(self, event: str) -> bytes:
        """The salt, 32 bytes, of the codes of an event."""
        row = self._rows.get(event)
        return codes.default_salt(self._cluster_id, event) if row is None else row.salt

    def opens(self, event: str, product: str) -> bool:
        """Whether a ticket of this product may be admitted: any in an event that was not created, else a
        listed one that admits. No product ("") always may."""
        admits = self._admits.get(event)
        return admits is None or not product or admits.get(product, False)

    def list_of(self, event: str, slug: str) -> EventList | None:
        """A list of an event; None if it has none with this slug."""
        lists = self._lists.get(event)
        found = None if lists is None else lists.get(slug)
        return MAIN if found is None and slug == MAIN_SLUG else found

    def lists(self, event: str) -> frozenset[str]:
        """Slugs of the lists of an event."""
        return frozenset({MAIN_SLUG, *self._lists.get(event, ())})

    def takes(self, event: str, listed: EventList, product: str) -> bool:
        """Whether a list of an event takes tickets of this product."""
        return self.opens(event, product) if listed.products is None else product in listed.products

    def lacks(self, event: str, product: str) -> bool:
        """Whether a ticket of this product adds it to those of its event."""
        admits = self._admits.get(event)
        return bool(product) and admits is not None and product not in admits

    def full(self, event: str, product: str = "", *, coded: bool = False) -> bool:
        """Whether there is no room for what a ticket of this product and, if `coded`, with codes adds to the
        rows."""
        if self.lacks(event, product):
            return len(self._admits[event]) >= PRODUCTS_MAX
        return coded and event not in self._rows and len(self._rows) >= EVENTS_MAX

    def set(self, event: str, said: EventRow) -> EventRow | None:
        """Create an event or replace what was said of it; returns its row, None if there is no room. The
        salt and the version of the normalisation stay if it has a row."""
        known = self._rows.get(event)
        if known is not None:
            said = msgspec.structs.replace(said, salt=known.salt, version=known.version)
        elif len(self._rows) >= EVENTS_MAX:
            return None
        self._put(event, said)
        self._touch((event,))
        return said

    def add(self, event: str, product: str, at: Moment, *, coded: bool) -> bool:
        """Write down what a ticket of this product and, if `coded`, with codes adds to the rows (after
        `full`); returns whether that is the product."""
        sequence, index, timestamp = at
        if self.lacks(event, product):
            row = self._rows[event]
            products = tuple(sorted((*row.products, (product, True))))
            changed = msgspec.structs.replace(
                row, products=products, sequence=sequence, index=index, timestamp=timestamp
            )
            self._put(event, changed)
            self._touch((event,))
            return True
        if coded and event not in self._rows:
            self._put(event, self.fresh(event, at))
            self._touch((event,))
        return False

    def fresh(self, event: str, at: Moment) -> EventRow:
        """The row of an event of which nothing is known but the salt."""
        return EventRow(
            name="",
            zone="",
            doors=0,
            ids_are_codes=True,
            products=(),
            declared=False,
            salt=codes.default_salt(self._cluster_id, event),
            version=codes.VERSION,
            sequence=at[0],
            index=at[1],
            timestamp=at[2],
        )

    def load(self, rows: Iterable[tuple[str, EventRow]]) -> None:
        """Replace all rows by stored ones, given in any order."""
        self._rows.clear()
        self._admits.clear()
        self._lists.clear()
        for event, row in rows:
            self._put(event, row)

    def _put(self, event: str, row: EventRow) -> None:
        self._rows[event] = row
        if row.declared:
            self._admits[event] = dict(row.products)
        self._lists[event] = {each.slug: each for each in row.lists if each != MAIN}
