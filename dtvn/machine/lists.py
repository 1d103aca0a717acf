"""Lists: what is entered (the house, a zone, a day, a meal), and how often a ticket may (R41). Pure rule.

`main` is there in every event without being written: all that admits, once.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from dtvn.machine.fields import LABEL_LENGTH_MAX, Label, Moment

MAIN_SLUG = "main"
LISTS_MAX = 32
"""Most lists of an event that are written down."""
LIST_NAME = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
"""Pattern of a list's slug."""
ENTRIES_MAX = 1_000
"""Most persons that one ticket admits, and most times that a list lets a ticket enter."""
CAPACITY_MAX = 10_000_000
LIST_PRODUCTS_MAX = 1_000
OFFSETS_MAX = 64
"""Most changes of a zone's offset that a list knows: those of 32 years."""
OFFSET_MAX = 86_400
"""Largest offset from UTC in seconds, either way."""
DAY = 86_400_000_000
"""Microseconds."""

Slug = Annotated[str, msgspec.Meta(pattern=LIST_NAME, max_length=64)]
Rule = Literal["once", "daily", "times", "free"]
Offset = tuple[Moment, Annotated[int, msgspec.Meta(ge=-OFFSET_MAX, le=OFFSET_MAX)]]
"""(Unix microseconds from which it holds, seconds to add to UTC)."""


class EventList(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One list of an event, as set_event says it."""

    slug: Slug
    name: Label = ""
    """Display name."""
    products: (
        Annotated[
            tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=LABEL_LENGTH_MAX)], ...],
            msgspec.Meta(max_length=LIST_PRODUCTS_MAX),
        ]
        | None
    ) = None
    """Products that it takes, ascending, each once, whether they admit to the event or not; None: all that
    admit, and tickets without a product."""
    not_before: Moment = 0
    """Start of the time in which it takes entries, Unix microseconds of log time, both ends included; 0: no
    bound."""
    not_after: Moment = 0
    rule: Rule = "once"
    """How often one person may enter: once, once a day, `times`, or without limit."""
    times: Annotated[int, msgspec.Meta(ge=0, le=ENTRIES_MAX)] = 0
    """0 unless the rule is `times`."""
    returns: bool = False
    """Whether an exit gives the entry back."""
    exit_first: bool = False
    """Whether nobody enters again before an exit."""
    capacity: Annotated[int, msgspec.Meta(ge=0, le=CAPACITY_MAX)] = 0
    """Most persons inside; 0: no limit."""
    offsets: Annotated[tuple[Offset, ...], msgspec.Meta(max_length=OFFSETS_MAX)] = ()
    """Of the event's zone, for a daily list, ascending: this core knows no zones. (): UTC."""

    @property
    def limit(self) -> int | None:
        """How often one person may enter, on a daily list each day; None: no limit."""
        return {"once": 1, "daily": 1, "times": self.times, "free": None}[self.rule]

    @property
    def days(self) -> tuple[Offset, ...] | None:
        """How it tells the days apart on which it counts; None: it counts all days together."""
        return self.offsets if self.rule == "daily" else None

    def day(self, timestamp: int) -> int:
        """The day of a time of the log by this list's offsets, counted from 1970-01-01."""
        offset = 0
        if self.offsets:
            found = bisect.bisect_right(self.offsets, timestamp, key=lambda pair: pair[0])
            offset = self.offsets[max(found - 1, 0)][1]
        return (timestamp + offset * 1_000_000) // DAY

    def is_open(self, timestamp: int) -> bool:
        """Whether it takes entries at this time of the log."""
        return self.not_before <= timestamp and not 0 < self.not_after < timestamp


MAIN = EventList(MAIN_SLUG)
"""The list `main` of an event that does not write it down."""


def list_in(lists: Iterable[EventList], slug: str) -> EventList | None:
    """The list with this slug among those that an event writes down; None: it has none."""
    found = next((each for each in lists if each.slug == slug), None)
    return MAIN if slug == MAIN_SLUG and found in (None, MAIN) else found


class ListCount(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The entries and exits of one ticket on one list that stand, forced ones included."""

    list: str
    entries: int
    exits: int
    day: int
    """The newest day with a movement, as the list had it then (EventList.day). This and what follows decide
    only for movements that are no longer kept (movements.Visits.by_day)."""
    day_entries: int
    day_exits: int

    def moved(self, day: int, entries: int, exits: int) -> ListCount:
        """After so many more (fewer: negative) entries and exits of this day; an earlier day's change the
        sums only."""
        day_entries, day_exits = (self.day_entries, self.day_exits) if day <= self.day else (0, 0)
        if day >= self.day:
            day_entries, day_exits = day_entries + entries, day_exits + exits
        return ListCount(
            self.list, self.entries + entries, self.exits + exits, max(day, self.day), day_entries, day_exits
        )


class Tally(msgspec.Struct, frozen=True, gc=False):
    """What R41 counts of a ticket on a list."""

    entries: int
    """E: entries that stand; on a daily list those of the day."""
    exits: int
    """X."""
    used: int
    limit: int | None
    """None: none."""
    persons: int
    """How many the ticket admits."""

    @property
    def inside(self) -> int:
        """Persons who are inside."""
        return self.entries - self.exits

    @property
    def exhausted(self) -> bool:
        """Whether no entry is left."""
        return self.limit is not None and self.used >= self.limit


def tally(listed: EventList, entries: int, exits: int, persons: int) -> Tally:
    """The tally of a ticket for so many persons with these entries and exits, on a daily list those of the
    day."""
    limit = listed.limit
    return Tally(
        entries,
        exits,
        entries - exits if listed.returns else entries,
        None if limit is None else limit * persons,
        persons,
    )
