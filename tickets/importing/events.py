"""The events of an import: created, and their products made known, before their first ticket is issued."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from dtvn.api.errors import TicketError
from tickets.importing.answers import CREATE
from tickets.importing.imported import ImportedEvent
from tickets.importing.plan import ImportPlan
from tickets.importing.record import FileRefused
from tickets.importing.until_final import TRY_AGAIN, Answer, Refused, until_final
from tickets.services.codes import ids_are_codes
from tickets.services.events import RESERVED, present, set_event, settled_row
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read

OWN_WRITES_WAIT = 5.0
"""Seconds for the platform's copy to include an event."""


def changes_of(plan: ImportPlan) -> Iterator[str]:
    """What an import changes of events, as the platform's copy has them now, for people. Raises FileRefused
    for an event that cannot be as the file says."""
    for event in plan.events:
        if fields := _change(event, plan.new_event):
            yield _sentence(event.slug, fields)


def prepare_events(plan: ImportPlan, *, actor: str, patience: float) -> None:
    """Have the changes of events ordered. Raises NetworkSilent after `patience` seconds without an answer,
    and Refused."""
    for _ in until_final(partial(_prepare, plan.new_event, actor), plan.events, patience=patience, size=1):
        pass


def _prepare(new_event: str, actor: str, batch: list[ImportedEvent]) -> list[Answer]:
    (event,) = batch
    try:
        if event.whole:
            settled_row(event.slug)  # else set_event has the copy catch up
        if fields := _change(event, new_event):
            result = set_event(event.slug, actor=actor, **fields).check().result
            feed.wait_for(result.sequence, OWN_WRITES_WAIT)
    except FileRefused as error:
        raise Refused(str(error)) from error
    except TicketError as error:
        if error.status in TRY_AGAIN:
            return [Answer(error.status)]
        raise Refused(f"event {event.slug}: {error}") from error
    return [Answer(200)]


def _change(event: ImportedEvent, new_event: str) -> dict[str, Any]:
    """What has to be set of an event, as services.events.set_event takes it; {} for nothing. One that exists
    stays as it is, but for its products. `new_event`: of Answers."""
    row = read.event_row(LEARNER_ALIAS, event.slug)
    known, declared = dict(present(event.slug).products), row is not None and row.declared
    if event.whole:
        if not declared and not any(read.count_tickets(LEARNER_ALIAS, (event.slug,)).values()):
            return _new_event(event)
        if ids_are_codes(row) != event.ids_are_codes:
            here, there = ("", "no ") if ids_are_codes(row) else ("no ", "")
            raise FileRefused(
                f"ids of tickets are {here}codes in event {event.slug}, and {there}codes in this export: "
                "change the event, or import into another one"
            )
        changed = {name: admits for name, admits in event.products.items() if name not in known}
        if not declared and all(changed.values()):
            return {}
    else:
        changed = {name: admits for name, admits in event.products.items() if known.get(name) is not admits}
        if not declared:
            return _created(event, changed) if new_event == CREATE else {}
    return {"products": tuple(changed.items()), "others_stay": True} if changed else {}


def _new_event(event: ImportedEvent) -> dict[str, Any]:
    """All of an event of our own export, if it says more than one that was not created."""
    opens_by_id = event.ids_are_codes and all(event.products.values())
    if opens_by_id and not (event.name or event.zone or event.doors):
        return {}
    return {
        "name": event.name,
        "zone": event.zone,
        "doors": event.doors,
        "ids_are_codes": event.ids_are_codes,
        "products": tuple(event.products.items()),
    }


def _created(event: ImportedEvent, products: Mapping[str, bool]) -> dict[str, Any]:
    if event.slug in RESERVED:
        raise FileRefused(f"The event {event.slug!r} cannot be created: this name is reserved.")
    return {
        "name": event.name or None,
        "zone": event.zone or None,
        "products": tuple(products.items()),
        "others_stay": True,
    }


def _sentence(event: str, fields: Mapping[str, Any]) -> str:
    kinds = {True: "lets its guests in", False: "lets nobody in"}
    said = ", ".join(f"{name} {kinds[admits]}" for name, admits in fields["products"])
    done = "is created; only the codes on its tickets open its doors" if "name" in fields else "is changed"
    if fields.get("ids_are_codes"):
        done = "is created; the ids of its tickets open its doors, too"
    return f"Event {event} {done}{': ' if said else ''}{said}."
