"""Creates the events of an import that are new, and adds products that an event does not have yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dtvn.api.errors import TicketError
from dtvn.machine.rows import EventRow
from dtvn.protocol import canonical
from tickets.importing.imported import ImportedEvent
from tickets.importing.until_final import Refused
from tickets.services.codes import ids_are_codes
from tickets.services.events import set_event, settled_row
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read

OWN_WRITES_WAIT = 5.0
"""Seconds for the platform's copy to include an event."""


def prepare_events(events: Iterable[ImportedEvent], *, actor: str) -> None:
    """Create those that are new and say more than an event which was not created. One that exists stays as it
    is, and gets the products that it lacks, entrances or not. Raises Refused, also if ids are codes on one
    side only: then other texts would open the door."""
    for event in events:
        try:
            _prepare(event, actor)
        except TicketError as error:
            raise Refused(f"event {event.slug}: {error}") from error


def _prepare(event: ImportedEvent, actor: str) -> None:
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
