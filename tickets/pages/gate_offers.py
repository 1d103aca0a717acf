"""What is offered at a gate of tickets that were found by name: as the log would decide now, each with the
reason why not."""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any

from dtvn.machine import CAPABILITY, State
from dtvn.machine.lists import EventList, Tally
from dtvn.machine.movements import EXIT
from dtvn.machine.rows import EventRow, TicketRow
from tickets.pages.ticket_facts import MEANINGS, NO_ENTRANCE, about, event_time, is_entrance
from tickets.services import list_counts
from tickets.services.codes import by_name_only
from tickets.services.search import state_of_row
from validators.rest.keys import Caller

NO_ORDER = "scan this ticket: by name only tickets of an order are let in, and the import named none of it"
STILL_INSIDE = "inside: somebody of this ticket has to leave first"
FULL = "it is full inside: somebody has to leave first"
NOBODY_INSIDE = "nobody of this ticket is inside"


class Offers:
    """What is offered of the tickets of the event `slug` on one list, for one request and caller. `kind`:
    entry or exit, as the gate is set."""

    def __init__(
        self, caller: Caller, slug: str, event: EventRow | None, listed: EventList, kind: str
    ) -> None:
        self._caller = caller
        self._slug = slug
        self._event = event
        self._list = listed
        self._leaves = kind == EXIT
        self._now = time.time_ns() // 1_000

    def may_see(self, row: TicketRow) -> bool:
        """Whether the caller may scan the ticket: a login for some products or lists sees no other guest."""
        rights, slug = self._caller.rights, self._list.slug
        if not rights.takes(CAPABILITY["admit"], self._slug, slug, row.product):
            return False
        return not rights.lists(CAPABILITY["admit"], self._slug) or self._takes(row)

    def row(self, row: TicketRow, holder: str, order: str) -> dict[str, Any]:
        """A ticket of a holder and an order, "" for none: `offered` says whether it may be let in, or out,
        `meaning` why not, or how it stands, `persons` how many of it at most."""
        tally = list_counts.on_list(row, self._event, self._now, self._list.slug)
        why = self._lack(row, tally)
        if not why and not self._may_name(row, order):
            why = NO_ORDER
        return {
            "id": row.ticket,
            "holder": holder,
            "order": order,
            "about": about(row),
            "persons": self._left(tally),
            "offered": not why,
            "meaning": "; ".join(filter(None, (why or self._stands(tally), self._persons(tally)))),
        }

    def _lack(self, row: TicketRow, tally: Tally) -> str:
        """Why the ticket is not offered to be let in, or out, "" if it is; in the order of the log
        (machine.order_of_reasons)."""
        if self._leaves:
            return "" if tally.inside > 0 else NOBODY_INSIDE
        state = state_of_row(row)
        if row.blocked:
            return f"blocked: {row.block_reason}" if row.block_reason else "blocked"
        if state in (State.DISPUTED, State.UPHELD):
            return MEANINGS[state]
        if self._now < row.not_before:
            return f"not valid yet: from {event_time(self._event, row.not_before)}"
        if 0 < row.not_after < self._now:
            return f"no longer valid: until {event_time(self._event, row.not_after)}"
        if not self._list.is_open(self._now):
            return "this entrance is closed at this time"
        if not self._takes(row):
            return NO_ENTRANCE
        if tally.exhausted:
            return MEANINGS[State.CONSUMED]
        if self._list.exit_first and tally.inside >= tally.persons:
            return STILL_INSIDE
        return FULL if self._is_full else ""

    @cached_property
    def _is_full(self) -> bool:
        capacity = self._list.capacity
        return capacity > 0 and list_counts.persons_inside(self._slug, self._list, self._now) >= capacity

    def _takes(self, row: TicketRow) -> bool:
        products = self._list.products
        return is_entrance(self._event, row) if products is None else row.product in products

    def _may_name(self, row: TicketRow, order: str) -> bool:
        return (
            bool(order)
            or self._caller.rights.may("operate", self._slug)
            or not by_name_only(self._event, row)
        )

    def _stands(self, tally: Tally) -> str:
        if self._leaves:
            return "inside"
        return "may enter again" if tally.used else "not entered yet"

    def _left(self, tally: Tally) -> int:
        """How many persons of the ticket are still to come, or to leave."""
        if self._leaves:
            return tally.inside
        outside = max(1, tally.persons - tally.inside)
        return outside if tally.limit is None else min(outside, max(0, tally.limit - tally.used))

    def _persons(self, tally: Tally) -> str:
        """How many persons the ticket is for, and how many are still to come, or to leave; "" for one."""
        if tally.persons == 1:
            return ""
        if self._leaves:
            return f"for {tally.persons} persons, {tally.inside} of them inside"
        if tally.limit is None:
            return f"for {tally.persons} persons"
        left = max(0, tally.limit - tally.used)
        return f"for {tally.persons} persons, {left} of {tally.limit} entries left"
