"""What happened on the lists of an event: entries, exits and persons inside by list, product and gate (R41).

Summed from the tickets as they are now, so an annulled movement counts no more and a forced entry counts as
one. A ticket keeps its newest 16 movements: entries and exits that are older have no gate here, and are told
as such, so the gates' numbers and the older ones together are always the list's.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from dtvn.machine import NAMES, State, read_row
from dtvn.machine.lists import MAIN, MAIN_SLUG, EventList, ListCount, Tally, list_in
from dtvn.machine.movements import ANNUL, ENTRIES, EXIT, FORCE, IMPORT, NONE, Movement, Visits
from dtvn.machine.rows import EventRow, TicketRow
from dtvn.machine.visits import visits_of
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.models import Ticket
from validators.ledger.state_rows import unpack_ticket

ROWS_AT_ONCE = 2_000
CONSUMED = NAMES[State.CONSUMED]


class Sums(msgspec.Struct):
    """Movements that have something in common."""

    entries: int = 0
    """That stand, forced ones included."""
    exits: int = 0
    inside: int = 0
    """Persons inside; on a daily list of those who came today."""
    forced: int = 0
    """Forced entries that stand, among the newest movements of their tickets."""
    annulled: int = 0
    """Movements that were taken back, likewise."""

    def moved(self, movement: Movement) -> None:
        """Count a movement that its ticket keeps, forced and annulled ones apart."""
        if not movement.stands:
            self.annulled += movement.kind != ANNUL
            return
        self.forced += movement.kind == FORCE

    def placed(self, movement: Movement) -> None:
        """Count a movement where it was made."""
        self.entries += movement.stands and movement.kind in ENTRIES
        self.exits += movement.stands and movement.kind == EXIT
        self.moved(movement)


class ListSums(Sums):
    """All that happened on one list."""

    tickets: int = 0
    """Tickets with an entry that stands."""
    products: dict[str, Sums] = msgspec.field(default_factory=lambda: defaultdict(Sums))
    """By the product that the ticket has now; "" for none."""
    gates: dict[str, Sums] = msgspec.field(default_factory=lambda: defaultdict(Sums))
    """By the gate that asked; "" for none. An annulled movement counts at the gate where it was made."""
    older: Sums = msgspec.field(default_factory=Sums)
    """Entries and exits whose tickets do not keep the gate any more."""


class Product(msgspec.Struct):
    """The tickets of one product."""

    name: str
    """ "" for none."""
    tickets: int = 0
    blocked: int = 0


class Counts(msgspec.Struct, frozen=True):
    """All that is counted of an event."""

    lists: dict[str, ListSums]
    """By slug: the event's lists, and those that were taken away but have movements."""
    products: dict[str, Product]
    """By name, also those that no ticket has."""
    used_up: int
    """Tickets with no entry left on `main` now: on a daily list those that entered today."""
    on_site: int
    """Persons who are inside on some list, each once."""
    blocked_inside: int
    """Blocked tickets of which somebody is inside."""


def lists_of(row: EventRow | None) -> dict[str, EventList]:
    """The lists of an event by slug, ascending, `main` among them."""
    written = {each.slug: each for each in (row.lists if row is not None else ())}
    return dict(sorted(({MAIN_SLUG: MAIN} | written).items()))


def count(slug: str, *, now: int | None = None) -> Counts:
    """Count an event; reads all its tickets once: some seconds for a million. `now`: Unix microseconds, which
    decide what today is."""
    event = read.event_row(LEARNER_ALIAS, slug)
    lists = lists_of(event)
    moment = time.time_ns() // 1_000 if now is None else now
    found = {name: ListSums() for name in lists}
    declared = event.products if event is not None and event.declared else ()
    products = {name: Product(name) for name, _admits in declared}
    used_up = on_site = blocked_inside = 0
    rows = Ticket.objects.using(LEARNER_ALIAS).filter(event=slug).values_list("row", flat=True)
    for packed in rows.iterator(chunk_size=ROWS_AT_ONCE):
        row = unpack_ticket(bytes(packed))
        product = products.setdefault(row.product, Product(row.product))
        product.tickets += 1
        product.blocked += row.blocked
        visits = _visits(row)
        used_up += visits.tally(lists[MAIN_SLUG], row.entries, moment).exhausted
        inside = _inside(visits, lists, moment)
        on_site += max(inside.values(), default=0)
        blocked_inside += row.blocked and any(inside.values())
        for each in visits.counts:
            _add(found.setdefault(each.list, ListSums()), row.product, each, inside[each.list])
        for movement in visits.movements:
            _place(found.setdefault(movement.list, ListSums()), row.product, movement)
    for sums in found.values():
        sums.older.entries = sums.entries - sum(each.entries for each in sums.gates.values())
        sums.older.exits = sums.exits - sum(each.exits for each in sums.gates.values())
    return Counts(found, products, used_up, on_site, blocked_inside)


def persons_inside(slug: str, listed: EventList, now: int) -> int:
    """Persons inside a list of an event, as its capacity counts them; reads all tickets of the event once.
    `now`: Unix microseconds, which decide what today is."""
    rows = Ticket.objects.using(LEARNER_ALIAS).filter(event=slug).values_list("row", flat=True)
    found = (unpack_ticket(bytes(packed)) for packed in rows.iterator(chunk_size=ROWS_AT_ONCE))
    return sum(_visits(row).tally(listed, row.entries, now).inside for row in found)


def is_inside(row: TicketRow, lists: Mapping[str, EventList], now: int) -> bool:
    """Whether somebody with this ticket is inside on some list. `lists`: `lists_of` its event; `now`: Unix
    microseconds, which decide what today is."""
    return any(_inside(_visits(row), lists, now).values())


def _inside(visits: Visits, lists: Mapping[str, EventList], now: int) -> dict[str, int]:
    """List -> persons of one ticket who are inside there. As the same persons may be inside on several lists,
    the largest number is that of different persons."""
    found = {}
    for each in visits.counts:
        entries, exits = visits.standing(lists.get(each.list) or EventList(each.list), now)
        found[each.list] = entries - exits
    return found


def entry_on_main(ticket: TicketRow) -> Movement | None:
    """The newest entry of `main` that stands and is kept; its `at` is when the guest entered, here or
    elsewhere, 0 if that is not known. Movements on other lists are not it, nor are exits."""
    last = _visits(ticket).newest(MAIN_SLUG, ENTRIES)
    if last is None or last.kind != IMPORT:
        return last
    return msgspec.structs.replace(last, at=ticket.entered_at)


def on_list(row: TicketRow, event: EventRow | None, now: int, slug: str = MAIN_SLUG) -> Tally:
    """What counts of a ticket on a list of its event at `now` (Unix microseconds). Its state does not tell:
    on a daily list CONSUMED stays until the next movement."""
    listed = list_in(event.lists if event is not None else (), slug) or EventList(slug)
    return _visits(row).tally(listed, row.entries, now)


def _visits(row: TicketRow) -> Visits:
    if not row.counts and not row.movements and row.state != CONSUMED:
        return NONE
    return visits_of(*read_row(row))


def _add(sums: ListSums, product: str, counted: ListCount, inside: int) -> None:
    sums.tickets += counted.entries > 0
    for each in (sums, sums.products[product]):
        each.entries += counted.entries
        each.exits += counted.exits
        each.inside += inside


def _place(sums: ListSums, product: str, movement: Movement) -> None:
    sums.moved(movement)
    sums.products[product].moved(movement)
    if movement.stands or movement.kind != ANNUL:
        sums.gates[movement.gate].placed(movement)
