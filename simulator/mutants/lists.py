"""Lists: how often a ticket enters, what an exit gives back, and who takes what back; R41."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from simulator.mutants.doors import instead, without
from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import (
    DAY,
    FORCE,
    MOVEMENTS_KEPT,
    TRANSITIONS,
    EventList,
    Inside,
    Operations,
    State,
    TicketRegistry,
    Visits,
    canonical,
    commands,
    find,
    lifecycle,
    movements,
    order_of_reasons,
    read_terms,
    reasons,
)


def counts(plant: Plant, wrong: Callable[[Any, EventList, Any], dict[str, Any]]) -> None:
    """What is counted of a ticket on a list has other values in some fields: wrong(tally, list, persons)."""
    right: Callable[..., Any] = vars(movements)["tally"]

    def tally(listed: EventList, entries: int, exits: int, persons: int) -> Any:
        found = right(listed, entries, exits, persons)
        return msgspec.structs.replace(found, **wrong(found, listed, persons))

    plant.put(movements, "tally", tally)


@mutant("annul-by-another-device", "R41", world="lists")
def another_device(plant: Plant) -> None:
    """Any device takes back the newest movement, whichever made it."""
    right = order_of_reasons._annullable

    def wrong(asked: Any) -> str | None:
        made = asked.visits.newest(asked.slug)
        return None if made is not None and made.device != asked.device else right(asked)

    instead(plant, "_annullable", wrong)


@mutant("annul-by-another-person", "R41", world="lists")
def another_person(plant: Plant) -> None:
    """Whoever names the device takes back what another person did, without a supervisor."""
    right = order_of_reasons._annullable

    def wrong(asked: Any) -> str | None:
        reason = right(asked)
        made = asked.visits.newest(asked.slug)
        return None if made is not None and made.device == asked.device else reason

    instead(plant, "_annullable", wrong)


@replaces(Visits, "newest", "annul-of-an-older-movement", "R41", world="lists")
def older_movement(right: Any, self: Visits, slug: str, kinds: Any = None) -> Any:
    """An annulment takes back the oldest movement that stands, not the newest."""
    if kinds is not None:
        return right(self, slug, kinds)
    return next((made for made in self.movements if made.stands and made.list == slug), None)


@mutant("annul-of-another-scan", "R41", world="lists")
def another_scan(plant: Plant) -> None:
    """An annulment that names a scan takes back the newest movement, even if another scan made it."""
    right = order_of_reasons._annullable

    def wrong(asked: Any) -> str | None:
        asked.movement = b""
        return right(asked)

    instead(plant, "_annullable", wrong)


@mutant("annul-however-late", "R41", world="lists-and-clocks", seed=5)
def however_late(plant: Plant) -> None:
    """Whoever made a movement takes it back an hour later."""
    plant.put(order_of_reasons, "ANNULLED_WITHIN", 1 << 62)


@mutant("exit-frees-two-entries", "R41", world="lists", seed=3)
def frees_two(plant: Plant) -> None:
    """An exit of one person gives two entries back."""
    counts(plant, lambda tally, listed, _persons: {"used": tally.used - tally.exits * listed.returns})


@mutant("every-exit-gives-the-entry-back", "R41", world="lists", seed=1)
def always_back(plant: Plant) -> None:
    """An exit gives the entry back where its list does not say so."""
    counts(plant, lambda tally, _listed, _persons: {"used": tally.entries - tally.exits})


@mutant("exit-of-nobody", "R41", world="lists")
def exit_of_nobody(plant: Plant) -> None:
    """Somebody leaves who is not inside."""
    without(plant, "_inside")


@mutant("forced-entry-leaves-one-free", "R41", world="lists")
def leaves_one_free(plant: Plant) -> None:
    """A forced entry uses no entry that is left."""
    right: Callable[..., Visits] = vars(lifecycle)["made"]

    def wrong(visits: Visits, movement: Any, listed: Any) -> Visits:
        if movement.kind != FORCE:
            return right(visits, movement, listed)
        return Visits(visits.counts, (*visits.movements, movement)[-MOVEMENTS_KEPT:])

    plant.put(lifecycle, "made", wrong)


@mutant("force-opens-a-blocked-ticket", "R41 R42", world="lists", seed=3)
def opens_a_blocked(plant: Plant) -> None:
    """Who may force entries lets in a blocked ticket."""
    without(plant, "_blocked", "force")


@replaces(Visits, "standing", "daily-list-remembers-yesterday", "R41", world="lists", seed=7)
def remembers_yesterday(right: Any, self: Visits, listed: EventList, timestamp: int) -> Any:
    """On a daily list entries of days before count."""
    return right(self, msgspec.structs.replace(listed, rule="once"), timestamp)


@replaces(Visits, "_day", "day-of-then", "R41", world="lists", seed=5)
def day_of_then(_right: Any, _self: Visits, _listed: EventList, made: Any) -> int:
    """A movement keeps the day that its list had when it was made: UTC's, if that was no daily one."""
    return int(made.day)


@replaces(Visits, "days", "exit-of-its-own-day", "R41", world="lists-over-midnight")
def exit_of_its_own_day(right: Any, self: Visits, listed: EventList) -> Any:
    """On a list that becomes daily an exit after midnight counts on its own day, not on that of the
    entry that it ends."""
    return {place: self._day(listed, self.movements[place]) for place in right(self, listed)}


@replaces(EventList, "day", "day-of-utc", "R41", world="lists", seed=7)
def day_of_utc(_right: Any, _self: EventList, timestamp: int) -> int:
    """A daily list begins its day when UTC does, not when its zone does."""
    return timestamp // DAY


@mutant("changed-list-judges-old-entries", "R41", world="lists", seed=3)
def judges_old(plant: Plant) -> None:
    """Entries that a list would no longer let happen are not counted any more."""

    def wrong(tally: Any, listed: EventList, _persons: int) -> dict[str, Any]:
        if tally.limit is None:
            return {}
        entries = min(tally.entries, tally.limit)
        return {"entries": entries, "used": entries - tally.exits if listed.returns else entries}

    counts(plant, wrong)


@replaces(Inside, "count", "capacity-ignored", "R41", world="lists", seed=1)
def capacity_ignored(*_arguments: Any) -> int:
    """A list with a capacity is never full."""
    return 0


@replaces(Inside, "replace", "capacity-counted-once", "R41", world="lists", seed=1)
def counted_once(*_arguments: Any) -> None:
    """How many are inside is counted when it is first asked for, and not again."""


@mutant("exit-not-required", "R41", world="lists", seed=3)
def exit_not_required(plant: Plant) -> None:
    """A list that requires the exit lets in who is inside."""
    right = order_of_reasons.entries_refuse

    def wrong(at: Any, event: str, ticket: Any, terms: Any, listed: EventList) -> Any:
        changed = msgspec.structs.replace(listed, exit_first=False) if listed.exit_first else listed
        return right(at, event, ticket, terms, changed)

    plant.put(order_of_reasons, "entries_refuse", wrong)
    plant.put(lifecycle, "entries_refuse", wrong)


@mutant("entries-added-to-persons", "R41", world="lists")
def added(plant: Plant) -> None:
    """A ticket for three persons on a list that takes two entries has four, not six."""
    counts(
        plant,
        lambda _tally, listed, persons: {} if listed.limit is None else {"limit": listed.limit + persons - 1},
    )


@mutant("one-person-of-a-group", "R41", world="lists")
def one_person(plant: Plant) -> None:
    """A ticket for several persons lets in one."""
    counts(plant, lambda _tally, listed, _persons: {"limit": listed.limit})


@mutant("dispute-leaves-consumed", "R41", world="calm")
def leaves_consumed(plant: Plant) -> None:
    """A ticket that has no entry left is disputed, and cleared lets somebody in again."""
    row = {**TRANSITIONS["dispute"], State.CONSUMED: State.DISPUTED}
    plant.put(lifecycle, "TRANSITIONS", {**TRANSITIONS, "dispute": row})


@replaces(TicketRegistry, "_restore", "movements-forgotten-at-restart", "R9 R41", world="lists-among-crashes")
def movements_forgotten(right: Any, self: TicketRegistry, head: Any, state: bytes, issued: bytes) -> Any:
    """A restarted node no longer knows how often tickets entered, though its root says so."""
    ticket = right(self, head, state, issued)
    terms = msgspec.structs.replace(read_terms(issued), counts=(), movements=())
    ticket.issued = canonical.encode_trimmed(terms)
    return ticket


@replaces(Operations, "_repeat", "annulled-scan-not-repeated", "R13 R41", world="lists")
def not_repeated(right: Any, self: Operations, operation: Any, *arguments: Any) -> Any:
    """A scan that is repeated after it was taken back is refused, though its first answer was that it is
    good."""
    code, shown = right(self, operation, *arguments)
    if operation.kind == "admit" and code == reasons.OK:
        command: Any = commands.check(operation)
        ticket = find(self.context, operation, command.code or b"")
        made = ticket and self.context.moved(operation, ticket, read_terms(ticket.issued))
        if made and not made.stands:
            return reasons.ALREADY_CONSUMED, shown
    return code, shown
