"""Which events are on today: those among which a guest at a gate may have taken the wrong door."""

from __future__ import annotations

import time

from dtvn.api.rights import Rights
from dtvn.api.times import in_zone
from dtvn.machine import CAPABILITY
from dtvn.machine.fields import MICROSECONDS
from dtvn.machine.rows import EventRow
from tickets.services.list_counts import lists_of
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.event_zones import zone_of

NIGHT = 6 * 3_600 * MICROSECONDS
"""For so long after midnight an event of the day before is still on, in microseconds."""


def is_today(row: EventRow, now: int) -> bool:
    """Whether the event with this row is on at `now` (Unix microseconds): from the day of its doors, in its
    zone, to that day or the last day on which one of its lists takes entries.

    One without doors may be on: nobody said when it is, and that a ticket is of another event is true on any
    day.
    """
    if not row.doors:
        return True
    zone, last = zone_of(row), max(row.doors, *(each.not_after for each in row.lists), 0)
    begun = in_zone(row.doors, zone).date() <= in_zone(now, zone).date()
    return begun and in_zone(now - NIGHT, zone).date() <= in_zone(last, zone).date()


def others_today(event: str, rights: Rights) -> dict[str, EventRow]:
    """Slug -> row of the other events that are on today and of which the caller may scan a list."""
    now = time.time_ns() // 1_000
    return {
        slug: row
        for slug, row in read.event_rows(LEARNER_ALIAS).items()
        if slug != event
        and is_today(row, now)
        and any(rights.takes(CAPABILITY["admit"], slug, listed) for listed in lists_of(row))
    }
