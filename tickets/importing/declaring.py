"""The events of an import: created, and their products made known, before their first ticket is issued."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dtvn.api.ordering import Decision
from tickets.importing.answers import CREATE
from tickets.importing.plan import ImportPlan, by_event
from tickets.importing.record import FileRefused
from tickets.services import events
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read


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
        kinds = {True: "an entrance", False: "no entrance"}
        said = [f"{name} is {kinds[admits]}" for name, admits in self.changed.items()]
        done = "is created; only what is printed opens it" if self.created else "is changed"
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
        if event in events.RESERVED:
            raise FileRefused(f"The event {event!r} cannot be created: this name is reserved.")
        known = dict(events.present(event).products)
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


def carry_out(change: EventChange, *, actor: str) -> Decision:
    """Have one change ordered; returns the decision. Raises TicketError."""
    return events.set_event(
        change.event,
        actor=actor,
        name=change.name,
        zone=change.zone,
        products=tuple(change.changed.items()),
        others_stay=True,
    )
