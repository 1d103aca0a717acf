"""How many persons are inside a list: summed up from the tickets of its event (R41).

The sums of an event are made when they are first asked for, and kept up to date from then on. They are in no
row: they depend on nothing but the tickets, so a state that was loaded has the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from dtvn.machine.lists import EventList, ListCount
from dtvn.machine.ticket import Ticket, read_head, read_kept_state, read_terms
from dtvn.machine.transitions import State
from dtvn.machine.visits import visits_of

Sums = Counter[tuple[str, int | None]]
"""(slug, day, None: of all days) -> persons inside."""


class Inside:
    """Sums by event. `tickets`: those of an event."""

    def __init__(self, tickets: Callable[[str], Iterable[Ticket]]) -> None:
        self._tickets = tickets
        self.sums: dict[str, Sums] = {}
        """Event -> its sums, once they were asked for."""

    def count(self, event: str, listed: EventList, timestamp: int) -> int:
        """Persons inside a list of an event; on a daily list those who came on the day of this time."""
        sums = self.sums.get(event)
        if sums is None:
            sums = self.sums[event] = Counter()
            for ticket in self._tickets(event):
                _add(sums, _counts(ticket.state, ticket.issued), +1)
        if listed.rule != "daily":
            return sums[listed.slug, None]
        today = listed.day(timestamp)
        return sum(
            found
            for (slug, day), found in sums.items()
            if slug == listed.slug and day is not None and day >= today
        )

    def replace(self, ticket: Ticket, state: bytes, issued: bytes) -> None:
        """The ticket gets this state and these terms; to be called before, if there are any sums."""
        sums = self.sums.get(read_head(ticket.state).event)
        if sums is not None:
            _add(sums, _counts(ticket.state, ticket.issued), -1)
            _add(sums, _counts(state, issued), +1)


def _counts(state: bytes, issued: bytes) -> tuple[ListCount, ...]:
    terms = read_terms(issued)
    if terms.counts:
        return terms.counts
    found = read_kept_state(state)
    return visits_of(found, terms).counts if found.state is State.CONSUMED else ()


def _add(sums: Sums, counts: Iterable[ListCount], sign: int) -> None:
    for count in counts:
        for key, inside in (
            ((count.list, None), count.entries - count.exits),
            ((count.list, count.day), count.day_entries - count.day_exits),
        ):
            if inside:
                sums[key] += sign * inside
                if not sums[key]:
                    del sums[key]
