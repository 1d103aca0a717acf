"""Events of tickets: created and changed by an ordered operation, shown from the platform's copy."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.core.exceptions import ValidationError

from dtvn.api.errors import InvalidRequest
from dtvn.api.ordering import Decision, Request
from dtvn.api.outcome import moment
from dtvn.machine import SetEvent
from dtvn.machine.fields import DEFAULT_EVENT
from dtvn.machine.lists import EventList
from dtvn.machine.rows import EventRow
from tickets.models import check_zone
from tickets.services.lists import shown as shown_lists
from tickets.services.lists import with_days_of
from tickets.services.reading import caught_up
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import event_zones, read
from validators.ledger.models import Ticket
from validators.ledger.read import EventSummary
from validators.services.decide import decide

RESERVED = frozenset({"validate", "validate-sequence", "stream", "runs"})
"""No slugs: routes of agents' events stand at these names."""

Products = tuple[tuple[str, bool], ...]
"""(name, whether it admits)."""


def set_event(
    slug: str,
    *,
    actor: str,
    name: str | None = None,
    zone: str | None = None,
    doors: int | None = None,
    ids_are_codes: bool | None = None,
    products: Products | None = None,
    others_stay: bool = False,
    lists: Iterable[EventList] | None = None,
    nonce: bytes = b"",
) -> Decision:
    """Create an event or change it; returns the cluster's decision. Raises InvalidRequest.

    `doors`: Unix microseconds, 0: not said. None: stays as the log has it, and so do products that are not
    in `products` if `others_stay`; else they are taken off the list. For an event that was not created
    but that holds tickets, that is what it did so far: ids are codes, and the products of its tickets admit,
    which a copy that has caught up tells. So nobody is shut out by a change of something else. The days of
    daily lists are those of the zone, whichever of the two is set.
    """
    if slug in RESERVED:
        raise InvalidRequest(f"slug must not be one of {', '.join(sorted(RESERVED))}")
    if zone:
        try:
            check_zone(zone)
        except ValidationError as error:
            raise InvalidRequest(f"zone: {error.message}") from error
    lists = None if lists is None else tuple(lists)
    undeclared = (products is None or others_stay) and not _declared(slug)
    if undeclared or _needs_row(zone, lists):
        caught_up()
    if undeclared and not _declared(slug):
        products = tuple((dict(_products_of_tickets(slug)) | dict(products or ())).items()) or None
        others_stay = False
    command = SetEvent(name, zone, doors, ids_are_codes, products, others_stay, _dated(slug, zone, lists))
    (decision,) = decide([Request(command, event=slug, nonce=nonce)], actor=actor)
    return decision


def _needs_row(zone: str | None, lists: tuple[EventList, ...] | None) -> bool:
    """Whether only one of zone and daily lists is given: an older row would undo a change of the other."""
    if lists is None:
        return zone is not None
    return zone is None and any(each.rule == "daily" for each in lists)


def _dated(slug: str, zone: str | None, lists: Iterable[EventList] | None) -> tuple[EventList, ...] | None:
    """The lists with the days of the event's zone; None: they stay, for neither they nor the zone are set."""
    row = read.event_row(LEARNER_ALIAS, slug)
    if lists is None and row is not None and zone is not None:
        lists = row.lists if any(each.rule == "daily" for each in row.lists) else None
    if lists is None:
        return None
    known = ZoneInfo(zone) if zone else event_zones.zone_of(None if zone == "" else row)
    return with_days_of(known, lists)


class Said(msgspec.Struct, frozen=True):
    """What an event is."""

    name: str
    zone: str
    doors: int
    ids_are_codes: bool
    products: Products


def present(slug: str) -> Said:
    """What a change of an event starts from, as forms show it: what was said of it, what it did so far if
    nobody created it but it holds tickets, or the defaults of a new one."""
    row = read.event_row(LEARNER_ALIAS, slug)
    if row is not None and row.declared:
        return Said(row.name, row.zone, row.doors, row.ids_are_codes, row.products)
    tickets = any(read.count_tickets(LEARNER_ALIAS, (slug,)).values())
    return Said("", "", 0, tickets, _products_of_tickets(slug))


def _declared(slug: str) -> bool:
    row = read.event_row(LEARNER_ALIAS, slug)
    return row is not None and row.declared


def settled_row(event: str, catch_up: Callable[[], object] = caught_up) -> tuple[bool, EventRow | None]:
    """Whether there is such an event, and its row. A copy that knows none catches up first (`catch_up`), so
    it is never taken for unknown because the platform is behind. Raises TicketError when that is not
    possible."""
    known, row = _known_row(event)
    if known:
        return known, row
    catch_up()
    return _known_row(event)


def _known_row(event: str) -> tuple[bool, EventRow | None]:
    """The same as the platform's copy has it: somebody created the event, or it holds tickets, or it is that
    of the founding contract."""
    row = read.event_row(LEARNER_ALIAS, event)
    known = event == DEFAULT_EVENT or (row is not None and row.declared)
    return known or Ticket.objects.using(LEARNER_ALIAS).filter(event=event).exists(), row


def zone_of(event: str) -> tzinfo:
    """The time zone of an event, the platform's for one that says none."""
    return event_zones.zone_of(read.event_row(LEARNER_ALIAS, event))


def shown(found: EventSummary) -> dict[str, Any]:
    """An event as JSON."""
    row = found.row if found.row is not None and found.row.declared else None
    return {
        "slug": found.event,
        "name": row.name if row else "",
        "zone": row.zone if row else "",
        "doors": moment(row.doors, event_zones.zone_of(row)) if row else None,
        "ids_are_codes": row.ids_are_codes if row else True,
        "products": [{"name": name, "admits": admits} for name, admits in (row.products if row else ())],
        "lists": shown_lists(row.lists if row else (), event_zones.zone_of(row)),
        "declared": row is not None,
        "tickets": found.tickets,
        "blocked": found.blocked,
    }


def not_listed(slug: str, names: Collection[str]) -> list[str]:
    """Products of a created event, as the platform's copy has it, that are not among `names`."""
    row = read.event_row(LEARNER_ALIAS, slug)
    listed = {unicodedata.normalize("NFC", name) for name in names}
    return [name for name, _admits in (row.products if row else ()) if name not in listed]


def summary_of(slug: str, row: EventRow | None = None) -> EventSummary | None:
    """One event with its counts, None without one. `row`: newer than the platform's copy."""
    row = row or read.event_row(LEARNER_ALIAS, slug)
    tickets = read.count_tickets(LEARNER_ALIAS, (slug,))
    if not any(tickets.values()) and (row is None or not row.declared):
        return None
    blocked = Ticket.objects.using(LEARNER_ALIAS).filter(event=slug, blocked=True).count()
    return EventSummary(slug, row, tickets, blocked)


def _products_of_tickets(event: str) -> Products:
    """The products of an event's tickets, all of which admit."""
    tickets = Ticket.objects.using(LEARNER_ALIAS).filter(event=event).exclude(product="")
    names = tickets.order_by("product").values_list("product", flat=True).distinct()
    return tuple((name, True) for name in names)
