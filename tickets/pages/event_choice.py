"""The events that a page lets a person choose from, by name and day."""

from __future__ import annotations

from typing import NamedTuple

from dtvn.api.times import in_zone
from dtvn.machine.rows import EventRow
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import event_zones, read


class EventChoice(NamedTuple):
    """One event to choose."""

    slug: str
    label: str
    """Name, day of the doors and short name, those that it has."""


def event_choices() -> list[EventChoice]:
    """All events, the latest doors first, then those without a day; each by name."""
    rows = read.event_rows(LEARNER_ALIAS)
    found = [(rows.get(slug), slug) for slug in read.list_events(LEARNER_ALIAS)]
    found.sort(key=lambda one: (-one[0].doors if one[0] else 0, _name(*one).casefold()))
    return [EventChoice(slug, _label(row, slug)) for row, slug in found]


def _name(row: EventRow | None, slug: str) -> str:
    return (row.name if row is not None else "") or slug


def _label(row: EventRow | None, slug: str) -> str:
    name = _name(row, slug)
    day = f"{in_zone(row.doors, event_zones.zone_of(row)):%Y-%m-%d}" if row is not None and row.doors else ""
    return ", ".join(part for part in (name, day) if part) + ("" if name == slug else f" ({slug})")
