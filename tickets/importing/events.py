"""The events of an import: created, and their products made known, before their first ticket is issued."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from dtvn.api.errors import TicketError
from dtvn.machine.rows import EventRow
from dtvn.protocol import canonical
from tickets.importing.answers import CREATE
from tickets.importing.imported import ImportedEvent
from tickets.importing.plan import ImportPlan, by_event
from tickets.importing.record import FileRefused
from tickets.importing.until_final import TRY_AGAIN, Answer, Refused, until_final
from tickets.services.codes import ids_are_codes
from tickets.services.events import RESERVED, present, set_event, settled_row
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read

OWN_WRITES_WAIT = 5.0
"""Seconds for the platform's copy to include an event."""


class EventChange(msgspec.Struct, frozen=True):
    """What an import says of one event."""

    event: str
    created: bool
    """Whether it was not created before."""
    name: str | None
    zone: str | None
    changed: dict[str, bool]
    """Its new products, and those that were the other kind: whether each is an entrance."""

    @property
    def sentence(self) -> str:
        """What changes, for people."""
        kinds = {True: "lets its guests in", False: "lets nobody in"}
        said = [f"{name} {kinds[admits]}" for name, admits in self.changed.items()]
        done = "is created; only the codes on its tickets open its doors" if self.created else "is changed"
        return f"Event {self.event} {done}{': ' if said else ''}{', '.join(said)}."


def changes_of(plan: ImportPlan) -> Iterator[EventChange]:
    """The changes of events that the import needs, as the platform's copy has them now; none for an event
    that is used as it is."""
    if plan.events:  # our own export says itself what its events are
        return
    for event, tickets in by_event(plan.tickets).items():
        row = read.event_row(LEARNER_ALIAS, event)
        created = row is None or not row.declared
        if created and plan.new_event != CREATE:
            continue
        if event in RESERVED:
            raise FileRefused(f"The event {event!r} cannot be created: this name is reserved.")
        known = dict(present(event).products)
        said = {ticket.product: plan.products[ticket.product] for ticket in tickets if ticket.product}
        changed = {name: admits for name, admits in said.items() if known.get(name) is not admits}
        if created or changed:
            yield EventChange(
                event,
                created,
                name=plan.event_names.get(event) if created else None,
                zone=plan.answers.timezone or None if created else None,
                changed=changed,
            )


def prepare_events(plan: ImportPlan, *, actor: str, patience: float) -> None:
    """Have the changes of events ordered. Raises NetworkSilent after `patience` seconds without an answer,
    and Refused."""
    changes: list[tuple[str, Callable[[], object]]]
    changes = [(event.slug, partial(_prepare, event, actor)) for event in plan.events]
    changes += [(change.event, partial(_carry_out, change, actor)) for change in changes_of(plan)]
    for _ in until_final(_ask, changes, patience=patience, size=1):
        pass


def _ask(batch: list[tuple[str, Callable[[], object]]]) -> list[Answer]:
    ((event, change),) = batch
    try:
        change()
    except TicketError as error:
        if error.status in TRY_AGAIN:
            return [Answer(error.status)]
        raise Refused(f"event {event}: {error}") from error
    return [Answer(200)]


def _carry_out(change: EventChange, actor: str) -> None:
    products = tuple(change.changed.items())
    set_event(
        change.event, actor=actor, name=change.name, zone=change.zone, products=products, others_stay=True
    ).check()


def _prepare(event: ImportedEvent, actor: str) -> None:
    """Create an event of our own export that is new and says more than one that was not created. One that
    exists stays as it is, and gets the products that it lacks, entrances or not. Raises Refused if ids are
    codes on one side only: then other texts would open the door."""
    _known, row = settled_row(event.slug)
    declared = row is not None and row.declared
    closes = not all(event.products.values())
    if not declared and not any(read.count_tickets(LEARNER_ALIAS, event.slug).values()):
        if event.name or event.zone or event.doors or not event.ids_are_codes or closes:
            _set(
                event.slug,
                actor,
                name=event.name,
                zone=event.zone,
                doors=event.doors,
                ids_are_codes=event.ids_are_codes,
                products=tuple(event.products.items()),
            )
        return
    if ids_are_codes(row) != event.ids_are_codes:
        here, there = ("", "no ") if ids_are_codes(row) else ("no ", "")
        raise Refused(
            f"ids of tickets are {here}codes in event {event.slug}, and {there}codes in this export: change "
            "the event, or import into another one"
        )
    if not declared and closes:
        row = _set(event.slug, actor)  # what its tickets have been admitted by stays an entrance
    known = dict(row.products) if row is not None and (declared or closes) else event.products
    if lacking := event.products.keys() - known.keys():
        products = tuple((name, event.products[name]) for name in lacking)
        _set(event.slug, actor, products=products, others_stay=True)


def _set(slug: str, actor: str, **said: Any) -> EventRow:
    """See services.events.set_event; returns the event's row, which the platform's copy has then."""
    result = set_event(slug, actor=actor, **said).check().result
    feed.wait_for(result.sequence, OWN_WRITES_WAIT)
    return canonical.decode(EventRow, result.state)
