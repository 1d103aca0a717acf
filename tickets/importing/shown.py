"""What a preview shows, row by row, and what of it is confirmed.

The rows are kept in the database, so that a file with many differences is shown in pages, and exactly what
was shown is ordered.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Count, Q, QuerySet

from tickets.importing.differences import NEW, SHOWN_KINDS
from tickets.importing.holders import ROWS_AT_ONCE, in_parts
from tickets.models import ShownDifference, TicketImport
from validators.database_url import first_line

logger = logging.getLogger("dtvn.imports")
PAGE = 50
"""Rows of a kind on one page: with all kinds, their ticks are fewer than the fields that a form may have."""


class Group(NamedTuple):
    """The rows of one kind."""

    kind: str
    total: int
    chosen: int
    """How many of them are confirmed."""

    @property
    def words(self) -> str:
        """The kind for people."""
        return SHOWN_KINDS[self.kind]

    @property
    def pages(self) -> int:
        """Number of pages."""
        return -(-self.total // PAGE)


class Confirmed(NamedTuple):
    """What was shown of an import, by key."""

    chosen: set[str]
    """Confirmed, and not yet done."""
    left: set[str]
    """Not confirmed."""
    done: Counter[str]
    """Kind -> number of rows that were done before."""


def store_shown(one: TicketImport, reading: str, rows: Iterable[ShownDifference]) -> None:
    """Store what a worker found, which is shown once the preview names its `reading`. New tickets are chosen:
    an import is for them."""
    waiting: list[ShownDifference] = []
    for row in rows:
        row.of, row.reading, row.chosen = one, reading, row.kind == NEW
        waiting.append(row)
        if len(waiting) == ROWS_AT_ONCE:
            ShownDifference.objects.bulk_create(waiting)
            waiting = []
    ShownDifference.objects.bulk_create(waiting)


def groups(one: TicketImport) -> list[Group]:
    """The kinds that an import shows, in the order of SHOWN_KINDS."""
    counts = (
        _of(one)
        .order_by()
        .values_list("kind")
        .annotate(total=Count("id"), ticked=Count("id", filter=Q(chosen=True)))
    )
    found = {kind: Group(kind, total, chosen) for kind, total, chosen in counts}
    return [found[kind] for kind in SHOWN_KINDS if kind in found]


def page(one: TicketImport, kind: str, number: int) -> list[ShownDifference]:
    """The rows of a kind on page `number`, from 1; none behind the last one."""
    return list(_of(one).filter(kind=kind)[(number - 1) * PAGE : number * PAGE])


def every(one: TicketImport) -> Iterator[ShownDifference]:
    """All rows, by kind."""
    for kind in SHOWN_KINDS:
        yield from _of(one).filter(kind=kind).iterator()


def tick(one: TicketImport, pages: Mapping[str, int], ticked: Collection[int]) -> int:
    """Of the rows on these pages (kind -> number) choose those in `ticked`, and no others. Returns how many
    changed."""
    listed = [row for kind, number in pages.items() for row in page(one, kind, number)]
    changed = 0
    for chosen in (True, False):
        ids = [row.pk for row in listed if (row.pk in ticked) is chosen and row.chosen is not chosen]
        changed += ShownDifference.objects.filter(pk__in=ids).update(chosen=chosen)
    return changed


def choose(one: TicketImport, kinds: Collection[str], *, chosen: bool = True) -> int:
    """Choose all rows of these kinds, or none of them. Returns how many changed."""
    return _of(one).filter(kind__in=kinds).exclude(chosen=chosen).update(chosen=chosen)


def has_changes(one: TicketImport) -> bool:
    """Whether more than new tickets is chosen."""
    return _of(one).filter(chosen=True).exclude(kind=NEW).exists()


def confirmed(one: TicketImport) -> Confirmed:
    """What was confirmed, and what was not."""
    found = Confirmed(set(), set(), Counter())
    for key, kind, chosen, done in (
        _of(one).order_by().values_list("key", "kind", "chosen", "done").iterator()
    ):
        if done:
            found.done[kind] += 1
        else:
            (found.chosen if chosen else found.left).add(key)
    return found


def words_of(one: TicketImport, keys: Iterable[str]) -> Iterator[ShownDifference]:
    """The rows with these keys."""
    for part in in_parts(sorted(keys)):
        yield from _of(one).filter(key__in=part)


class DoneMarks:
    """Marks rows whose tickets are as they say: an import that goes on does not order them again.

    While the database is away the import goes on, and marks are written with later ones. One that is never
    written is found by the next comparison.
    """

    def __init__(self, one: TicketImport) -> None:
        self._one = one
        self._waiting: list[str] = []

    def add(self, keys: Iterable[str]) -> None:
        """Mark the rows with these keys, now or later."""
        self._waiting += keys
        try:
            for part in in_parts(self._waiting):
                _of(self._one).filter(key__in=part).update(done=True)
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            logger.warning("what an import has done is not marked yet: %s", first_line(error))
        else:
            self._waiting.clear()


def forget(**of: object) -> None:
    """Delete what imports with these fields show."""
    ShownDifference.objects.filter(**of).delete()


def _of(one: TicketImport) -> QuerySet[ShownDifference]:
    return ShownDifference.objects.filter(of=one, reading=one.preview.get("reading", ""))
