"""What is said of an import: how its file was understood, and what became of its rows. Plain data."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dtvn.machine.fields import MICROSECONDS
from tickets.importing.arguments import zone_of
from tickets.importing.changes import Change, Differences
from tickets.importing.events import changes_of
from tickets.importing.imported import ImportedTicket, LeftOut, WrongRow
from tickets.importing.kinds import KINDS, SHOWN_KINDS
from tickets.importing.moments import shown_moment
from tickets.importing.plan import ImportPlan, by_event
from tickets.importing.uploads import storable

ROWS_REPORTED = 20_000
"""Most rows of each kind in a report."""


def understood(found: ImportPlan) -> dict[str, Any]:
    """How the file was read, and the answers that hold."""
    return {
        "form": f"{found.form}: {found.preset}" if found.preset else found.form,
        "told": [{"id": one.id, "words": one.words, "origin": one.origin} for one in found.told],
        "said": found.said,
        "rows": found.rows,
        "read": [{"field": field, "columns": names} for field, names in found.read.items() if any(names)],
        "unread": found.unread,
    }


def report_of(
    found: ImportPlan, differences: Differences, wrong: Sequence[WrongRow], *, personal: bool = True
) -> dict[str, Any]:
    """All that is said of a file beside the network; `personal`: with persons, until it is imported."""
    new = [one.ticket for one in differences.new if one.ticket is not None]
    stays = [sentence_of(one, found, personal=personal) for one in differences.unchanged[:ROWS_REPORTED]]
    report = understood(found) | {
        "tickets": len(found.tickets),
        "shut": sum(not _opens(one, found) for one in found.tickets),
        "new": len(new),
        "identical": differences.same,
        "differing": len({(one.event, one.ticket_id) for one in differences.found}),
        "kinds": kinds_of(differences.counts(), KINDS),
        "stays": stays,
        "entered": sum(ticket.entered for ticket in new),
        "blocked": sum(ticket.blocked for ticket in new),
        "operates": any(ticket.needs_operate for ticket in new),
        "events": [
            {"event": event, "tickets": len(tickets), "zone": found.zones[event]}
            for event, tickets in by_event(found.tickets).items()
        ],
        "events_said": list(changes_of(found)),
        "wrong_count": len(wrong),
        "wrong": listed(wrong),
        "left_out_count": len(found.left_out),
        "left_out": listed(found.left_out),
    }
    if over := _over(found.tickets):
        report["said"] = [*found.said, over]
    kept: dict[str, Any] = storable(report)
    return kept


def _opens(ticket: ImportedTicket, found: ImportPlan) -> bool:
    """Whether a ticket opens a door."""
    return not ticket.blocked and found.products.get(ticket.product, True)


def _over(tickets: Sequence[ImportedTicket]) -> str:
    """A sentence if no guest of the file would come in any more, else ""."""
    ends = [ticket.not_after for ticket in tickets if not ticket.blocked]
    if not ends or not all(0 < end < time.time() * MICROSECONDS for end in ends):
        return ""
    last = shown_moment(max(ends), zone_of("UTC"))
    return f"All windows are over, the last since {last}: no guest of this file would come in."


def kinds_of(counts: Mapping[str, int], kinds: Iterable[str]) -> list[dict[str, Any]]:
    """Those of these kinds that are counted, with their words."""
    return [
        {"kind": kind, "words": SHOWN_KINDS[kind], "count": counts[kind]}
        for kind in kinds
        if counts.get(kind)
    ]


def listed(rows: Sequence[WrongRow | LeftOut]) -> list[dict[str, Any]]:
    """The first of these rows, with their reasons."""
    first = sorted(rows, key=lambda one: one.row)[:ROWS_REPORTED]
    return [{"row": one.row, "reason": one.reason} for one in first]


def shown_ticket(ticket: ImportedTicket, found: ImportPlan) -> dict[str, str]:
    """A ticket as it was understood."""
    zone = zone_of(found.zones[ticket.event])
    return {
        "ticket_id": ticket.ticket_id,
        "event": ticket.event,
        "product": ticket.product,
        "seat": ticket.seat,
        "not_before": shown_moment(ticket.not_before, zone),
        "not_after": shown_moment(ticket.not_after, zone),
        "name": ticket.holder.name,
        "order": ticket.order,
    }


def sentence_of(one: Change, found: ImportPlan, *, personal: bool = True) -> str:
    """A change in words, its times in the zone of the event."""
    return one.words(zone_of(found.zones.get(one.event, "UTC")), personal=personal)
