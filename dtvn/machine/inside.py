"""How many persons are inside a list: summed up from the tickets of its event (R41).

The sums of a list are made when they are first asked for, and again when it tells days apart in another way;
from then on they are kept up to date. They are in no row: they depend on nothing but the tickets and the
list, so a state that was loaded has the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from dtvn.machine.lists import EventList
from dtvn.machine.movements import Visits
from dtvn.machine.ticket import Ticket, read_head, read_kept_state, read_terms
from dtvn.machine.visits import visits_of

Sums = Counter[int]
"""Day on a daily list, 0 on another one -> persons inside."""


class Inside:
    """Sums by event. `tickets`: those of an event."""

    def __init__(self, tickets: Callable[[str], Iterable[Ticket]]) -> None:
        self._tickets = tickets
        self.sums: dict[str, dict[str, tuple[EventList, Sums]]] = {}
        """Event -> slug -> the list as it was when its sums were made, and these; once they were asked
        for."""

    def count(self, event: str, listed: EventList, timestamp: int) -> int:
        """Persons inside a list of an event; on a daily list those who came on the day of this time."""
        lists = self.sums.setdefault(event, {})
        known = lists.get(listed.slug)
        if known is None or known[0].days != listed.days:
            sums: Sums = Counter()
            for ticket in self._tickets(event):
                _add(sums, listed, _visits(ticket.state, ticket.issued), +1)
            known = lists[listed.slug] = listed, sums
        if listed.days is None:
            return known[1][0]
        today = listed.day(timestamp)
        return sum(found for day, found in known[1].items() if day >= today)

    def replace(self, ticket: Ticket, state: bytes, issued: bytes) -> None:
        """The ticket gets this state and these terms; to be called before, if there are any sums."""
        lists = self.sums.get(read_head(ticket.state).event)
        if not lists:
            return
        for visits, sign in ((_visits(ticket.state, ticket.issued), -1), (_visits(state, issued), +1)):
            for count in visits.counts:
                if (known := lists.get(count.list)) is not None:
                    listed, sums = known
                    _add(sums, listed, visits, sign)


def _visits(state: bytes, issued: bytes) -> Visits:
    return visits_of(read_kept_state(state), read_terms(issued))


def _add(sums: Sums, listed: EventList, visits: Visits, sign: int) -> None:
    """What a ticket did on one list, once more or once less."""
    if listed.days is None:
        entries, exits = visits.standing(listed, 0)
        found = [(0, entries, exits)]
    else:
        found = visits.by_day(listed)
    for day, entries, exits in found:
        sums[day] += sign * (entries - exits)
        if not sums[day]:
            del sums[day]
