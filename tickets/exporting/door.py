"""What an export says of the door: who comes in, by which codes, in which event."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from dtvn.machine import NAMES, TRANSITIONS, State, read_row
from dtvn.machine.lists import MAIN, MAIN_SLUG
from dtvn.machine.rows import EventRow, TicketRow
from dtvn.machine.visits import visits_of
from tickets.models import TicketCode
from tickets.services import events, list_counts
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.read import EventSummary

ADMITTED_FROM = frozenset(NAMES[state] for state in State if isinstance(TRANSITIONS["admit"][state], State))
"""States in which a gate may admit the guest."""
Code = str | dict[str, str]
"""A code as it is printed, or {"digest": hex} if this platform knows no text of it."""
Texts = Mapping[tuple[str, str], str]
"""(event, digest in hex) -> code."""
COUNTS = frozenset({"tickets", "blocked"})


class Door:
    """The events of an export, read once."""

    def __init__(self) -> None:
        found = read.event_rows(LEARNER_ALIAS)
        self._rows = {slug: row for slug, row in found.items() if row.declared}

    def event(self, slug: str) -> EventRow | None:
        """What was said of the event, None if it was not created."""
        return self._rows.get(slug)

    def opened_by(self, ticket: TicketRow) -> bool:
        """Whether the product of a ticket is an entrance of its event."""
        event = self.event(ticket.event)
        return event is None or not ticket.product or dict(event.products).get(ticket.product, False)

    def admits(self, ticket: TicketRow) -> bool:
        """Whether a gate would admit the guest within the ticket's window."""
        return self._has_entry_left(ticket) and not ticket.blocked and self.opened_by(ticket)

    def _has_entry_left(self, ticket: TicketRow) -> bool:
        """Whether the ticket's state admits, or is that of an entry of another day."""
        if ticket.state != NAMES[State.CONSUMED]:
            return ticket.state in ADMITTED_FROM
        tally = list_counts.on_list(ticket, self.event(ticket.event), time.time_ns() // 1_000)
        return not tally.exhausted

    def ids_are_codes(self, ticket: TicketRow) -> bool:
        """Whether a scanned text may be the id of the ticket."""
        event = self.event(ticket.event)
        return event is None or event.ids_are_codes

    def entries_used(self, ticket: TicketRow) -> int:
        """How many entries of `main` a ticket has used by now; of another day's on a daily list none."""
        event = self.event(ticket.event)
        main = next((one for one in event.lists if one.slug == MAIN_SLUG), MAIN) if event else MAIN
        if main is MAIN and not (ticket.counts or ticket.movements):  # see dtvn.machine.visits.visits_of
            return int(ticket.state == NAMES[State.CONSUMED])
        return visits_of(*read_row(ticket)).tally(main, ticket.entries, time.time_ns() // 1_000).used

    def zone(self, ticket: TicketRow) -> str:
        """Name of the time zone that its event says, "" for none."""
        event = self.event(ticket.event)
        return event.zone if event else ""

    def told(self, slugs: Sequence[str]) -> list[dict[str, Any]]:
        """The events as in REST, without the numbers of their tickets."""
        summaries = [EventSummary(slug, self.event(slug), {}, 0) for slug in slugs]
        return [
            {name: value for name, value in events.shown(one).items() if name not in COUNTS}
            for one in summaries
        ]


def texts_of(page: Sequence[TicketRow]) -> Texts:
    """The codes of these tickets, as far as this platform knows their texts."""
    rows = TicketCode.objects.filter(
        event__in={ticket.event for ticket in page}, ticket__in=[ticket.ticket for ticket in page]
    )
    return {(event, digest): code for event, digest, code in rows.values_list("event", "digest", "code")}


def codes_of(ticket: TicketRow, digests: Sequence[bytes], texts: Texts) -> list[Code]:
    """These codes of a ticket, in their order."""
    named = [digest.hex() for digest in digests]
    return [texts.get((ticket.event, digest)) or {"digest": digest} for digest in named]
