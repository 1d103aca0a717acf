"""What a preview shows, row by row, and what of it a person chooses.

The rows are kept in the database, so that a file with many differences is shown in pages, and exactly what
was shown is ordered.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from django.db.models import Count, Q, QuerySet

from tickets.importing.holders import ROWS_AT_ONCE
from tickets.importing.kinds import NEW, SHOWN_KINDS
from tickets.models import ShownDifference, TicketImport

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
        rows_of(one)
        .order_by()
        .values_list("kind")
        .annotate(total=Count("id"), ticked=Count("id", filter=Q(chosen=True)))
    )
    found = {kind: Group(kind, total, chosen) for kind, total, chosen in counts}
    return [found[kind] for kind in SHOWN_KINDS if kind in found]


def page(one: TicketImport, kind: str, number: int) -> list[ShownDifference]:
    """The rows of a kind on page `number`, from 1; none behind the last one."""
    return list(rows_of(one).filter(kind=kind)[(number - 1) * PAGE : number * PAGE])


def every(one: TicketImport) -> Iterator[ShownDifference]:
    """All rows, by kind."""
    for kind in SHOWN_KINDS:
        yield from rows_of(one).filter(kind=kind).iterator()


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
    return rows_of(one).filter(kind__in=kinds).exclude(chosen=chosen).update(chosen=chosen)


def has_changes(one: TicketImport) -> bool:
    """Whether more than new tickets is chosen."""
    return rows_of(one).filter(chosen=True).exclude(kind=NEW).exists()


def forget(**of: object) -> None:
    """Delete what imports with these fields show."""
    ShownDifference.objects.filter(**of).delete()


def rows_of(one: TicketImport) -> QuerySet[ShownDifference]:
    """All that a preview shows."""
    return ShownDifference.objects.filter(of=one, reading=one.preview.get("reading", ""))
