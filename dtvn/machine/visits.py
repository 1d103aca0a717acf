"""What one ticket did on the lists of its event (R41), from its state and its terms.

Counts and movements are terms of the ticket. A ticket that is CONSUMED without any of them made one entry on
`main`, which its state describes: that of an admission of the first forms, or of an entry that was imported.
"""

from __future__ import annotations

from dtvn.machine.lists import MAIN, MAIN_SLUG, EventList, ListCount
from dtvn.machine.movements import CONSUME, ENTRIES, ENTRY, FORCE, IMPORT, Movement, Visit, Visits
from dtvn.machine.terms import Terms
from dtvn.machine.ticket import TicketState
from dtvn.machine.transitions import State


def plain(terms: Terms) -> bool:
    """Whether these terms tell no more than those of a ticket of before lists."""
    return terms.entries == 1 and not terms.counts and not terms.movements


def visits_of(state: TicketState, terms: Terms) -> Visits:
    """The movements of a ticket; what its state describes is written out."""
    if terms.counts or terms.movements or state.state is not State.CONSUMED:
        return Visits(terms.counts, terms.movements, terms.entered_at)
    kind = state.operation if state.operation in (CONSUME, IMPORT) else ENTRY
    at = (terms.entered_at if kind == IMPORT else 0) or state.timestamp
    day = MAIN.day(at)
    count = ListCount(MAIN_SLUG, 1, 0, day, 1, 0)
    movement = Movement(
        MAIN_SLUG,
        kind,
        True,
        state.timestamp,
        day,
        state.gate,
        state.device,
        state.principal,
        state.actor,
        state.nonce,
        state.sequence,
        state.index,
    )
    return Visits((count,), (movement,), terms.entered_at)


def visit_of(
    state: TicketState, terms: Terms, listed: EventList, timestamp: int, kind: str = ""
) -> Visit | None:
    """What is told of a ticket on a list at this time of the log; None if a ticket of before lists says it
    all: it enters `main` once."""
    if listed is MAIN and plain(terms):
        return None
    visits = visits_of(state, terms)
    found = visits.tally(listed, terms.entries, timestamp)
    last = visits.newest(listed.slug, ENTRIES)
    return Visit(
        listed.slug,
        kind,
        found.used,
        found.limit or 0,
        found.inside,
        last is not None and last.kind == FORCE,
        0 if last is None else visits.time_of(last),
        "" if last is None else last.gate,
        "" if last is None else last.device,
    )
