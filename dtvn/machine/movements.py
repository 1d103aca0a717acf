"""Movements of one ticket on the lists of its event: the newest, and counts of those that stand (R41)."""

from __future__ import annotations

from collections import Counter

import msgspec

from dtvn.machine.lists import EventList, ListCount, Tally, tally

MOVEMENTS_KEPT = 16
"""Newest movements of a ticket that are kept; annulments count."""
COUNTS_KEPT = 64
"""Most lists whose counts a ticket keeps; beyond it, those of lists that are no more and of which no movement
is kept are dropped."""
ENTRY, EXIT, ANNUL, FORCE = "entry", "exit", "annul", "force"
CONSUME, IMPORT = "consume", "import_entry"
ENTRIES = frozenset({ENTRY, FORCE, CONSUME, IMPORT})
"""Kinds of movements that are entries."""
NO_DAY = 0
"""Recorded as the day of an exit that ends no entry which is known on a daily list."""


class Movement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One entry, exit or annulment."""

    list: str
    kind: str
    """entry, exit, annul or force; consume or import_entry for an entry by that kind of operation."""
    stands: bool
    """False once it was annulled, and for an annulment itself."""
    at: int
    """Log time, Unix microseconds."""
    day: int
    """On the list, as it was then (Visits.days): what is left to go by once the movement is dropped."""
    gate: str
    device: str
    principal: str
    actor: str
    nonce: bytes
    """By principal, actor and nonce a late retry is recognised (R13)."""
    sequence: int
    index: int
    """Its place in the log, which a late retry names as the first (R48)."""

    @property
    def place(self) -> tuple[int, int]:
        """(sequence, index) in the log."""
        return self.sequence, self.index


class Visits(msgspec.Struct, frozen=True, gc=False):
    """All that is known of a ticket's movements."""

    counts: tuple[ListCount, ...]
    movements: tuple[Movement, ...]
    """The oldest first."""
    imported_at: int = 0
    """The source's time of its newest imported entry, Unix microseconds; 0: unknown, or no such entry."""

    def count(self, slug: str) -> ListCount | None:
        """Of this list; None: no movement."""
        return next((count for count in self.counts if count.list == slug), None)

    def newest(self, slug: str, kinds: frozenset[str] | None = None) -> Movement | None:
        """The newest movement of a list that stands and is kept; `kinds`: of these."""
        return next(
            (
                made
                for made in reversed(self.movements)
                if made.stands and made.list == slug and (kinds is None or made.kind in kinds)
            ),
            None,
        )

    def tally(self, listed: EventList, persons: int, timestamp: int) -> Tally:
        """What R41 counts on a list at this time of the log, of a ticket for so many persons."""
        return tally(listed, *self.standing(listed, timestamp), persons)

    def standing(self, listed: EventList, timestamp: int) -> tuple[int, int]:
        """E and X of a list: the entries and exits that stand, on a daily list those of the day of this time
        of the log, and of later days, which there are once its offsets were put back."""
        if listed.days is None:
            count = self.count(listed.slug)
            return (0, 0) if count is None else (count.entries, count.exits)
        today = listed.day(timestamp)
        counted = [made for made in self.by_day(listed) if made[0] >= today]
        return sum(entries for _day, entries, _exits in counted), sum(exits for *_, exits in counted)

    def by_day(self, listed: EventList) -> list[tuple[int, int, int]]:
        """(day, entries, exits) of what stands on a daily list; a day may be there more than once. No day has
        more exits than entries (`days`)."""
        day, entries, exits = self._dropped(listed)
        found = [(day, entries, exits)] if entries else []
        for place, on in self.days(listed).items():
            made = self.movements[place]
            if made.stands and on != NO_DAY:
                entry = made.kind in ENTRIES
                found.append((on, int(entry), int(not entry)))
        return found

    def days(self, listed: EventList) -> dict[int, int]:
        """Place of each entry and exit of a daily list that is kept -> its day.

        An entry has the day of its time, as the list tells days now, whatever it said then. An exit has that
        of the entry that it ends: the newest day with one before it that no exit ended, else NO_DAY. So who
        came before midnight and left after it takes nothing off the second day.
        """
        day, entries, exits = self._dropped(listed)
        inside = Counter({day: entries - exits})
        found = {}
        for place, made in enumerate(self.movements):
            if made.list != listed.slug or made.kind == ANNUL:
                continue
            found[place] = self._day(listed, made)
            if made.stands and made.kind in ENTRIES:
                inside[found[place]] += 1
            elif made.stands:
                found[place] = max((on for on, persons in inside.items() if persons), default=NO_DAY)
                inside[found[place]] -= found[place] != NO_DAY
        return found

    def _dropped(self, listed: EventList) -> tuple[int, int, int]:
        """(day, entries, exits) of the movements on a daily list that are dropped, as far as they count:
        those of the newest recorded day. None of them came after the oldest that is kept."""
        count = self.count(listed.slug)
        if count is None:
            return NO_DAY, 0, 0
        entries, exits, day = count.day_entries, count.day_exits, count.day
        for made in self.movements:
            if made.stands and made.list == listed.slug and made.day == day:
                entry = made.kind in ENTRIES
                entries, exits = entries - entry, exits - (not entry)
        if self.movements:
            day = min(day, listed.day(self.movements[0].at))
        return day, entries, min(exits, entries)

    def dated(self, listed: EventList) -> Visits:
        """The same, but what is recorded of a daily list are the days that it has now: so a movement that is
        dropped next is counted on its right day. Without a change of the list nothing changes."""
        count = self.count(listed.slug)
        if listed.days is None or count is None:
            return self
        made = {
            place: msgspec.structs.replace(self.movements[place], day=day)
            for place, day in self.days(listed).items()
        }
        found = self.by_day(listed)
        newest = max([one.day for one in made.values()] + [day for day, *_ in found], default=count.day)
        count = msgspec.structs.replace(
            count,
            day=newest,
            day_entries=sum(entries for day, entries, _exits in found if day == newest),
            day_exits=sum(exits for day, _entries, exits in found if day == newest),
        )
        movements = tuple(made.get(place, one) for place, one in enumerate(self.movements))
        return Visits(_with(self.counts, count), movements, self.imported_at)

    def _day(self, listed: EventList, made: Movement) -> int:
        """The day of the time of a movement that is kept. Of imported entries the newest one's time is known:
        one that was recorded on another day stays there."""
        newest = self.newest_import()
        if made.kind != IMPORT or newest is None:
            return listed.day(made.at)
        return listed.day(self.imported_at or newest.at) if made.day == newest.day else made.day

    def newest_import(self) -> Movement | None:
        """The newest imported entry that is kept, whether it stands or not; `imported_at` is its time."""
        return next((made for made in reversed(self.movements) if made.kind == IMPORT), None)

    def time_of(self, made: Movement) -> int:
        """Log time of a movement that is kept; of an imported entry the source's, 0 if that is not known."""
        if made.kind != IMPORT:
            return made.at
        return self.imported_at if made is self.newest_import() else 0


NONE = Visits((), ())


class Visit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What a gate is told of a ticket on a list."""

    list: str
    kind: str
    """What was asked: entry, exit, annul or force; "" where the operation was about no list."""
    used: int
    """Entries that are used, on a daily list of the day."""
    allowed: int
    """How many may be used; 0: no limit."""
    inside: int
    """Persons of this ticket who are inside, on a daily list of those who came this day."""
    forced: bool
    """Whether the entry below was forced."""
    at: int
    """Log time of the newest entry that stands; of one that was imported the source's time, 0 if that is not
    known; 0 without an entry."""
    gate: str
    device: str


def made(visits: Visits, movement: Movement, listed: frozenset[str]) -> Visits:
    """After an entry or an exit. `listed`: slugs of the event's lists."""
    known = visits.count(movement.list) or ListCount(movement.list, 0, 0, movement.day, 0, 0)
    entry = movement.kind in ENTRIES
    counts = _with(visits.counts, known.moved(movement.day, +entry, +(not entry)))
    movements = (*visits.movements, movement)[-MOVEMENTS_KEPT:]
    if len(counts) > COUNTS_KEPT:
        needed = listed.union(each.list for each in movements)
        counts = tuple(count for count in counts if count.list in needed)
    return Visits(counts, movements, visits.imported_at)


def annulled(visits: Visits, taken: Movement, annulment: Movement) -> Visits:
    """After the annulment of a movement that stands."""
    known = visits.count(taken.list)
    if known is None:
        raise RuntimeError("a movement that is not counted")
    entry = taken.kind in ENTRIES
    counts = _with(visits.counts, known.moved(taken.day, -entry, -(not entry)))
    place = max(index for index, one in enumerate(visits.movements) if one is taken)
    movements = list(visits.movements)
    movements[place] = msgspec.structs.replace(taken, stands=False)
    return Visits(counts, (*movements, annulment)[-MOVEMENTS_KEPT:], visits.imported_at)


def _with(counts: tuple[ListCount, ...], changed: ListCount) -> tuple[ListCount, ...]:
    """The counts with one changed or added, ascending by list."""
    others = [count for count in counts if count.list != changed.list]
    return tuple(sorted([*others, changed], key=lambda count: count.list))
