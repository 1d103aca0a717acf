"""A network of plain values, which issues what a file says is new and carries out what is ordered."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from dtvn.api.ordering import Request
from dtvn.machine import Block, ChangeTicket, ImportEntry, Replace
from dtvn.machine.bodies import window_end
from dtvn.machine.codes import code_digest
from dtvn.machine.fields import MICROSECONDS
from dtvn.machine.lists import MAIN_SLUG, ListCount
from dtvn.machine.rows import TicketRow
from tickets.importing import ImportPlan
from tickets.importing.changes import Change, Differences
from tickets.importing.comparing import compare
from tickets.importing.imported import Holder, ImportedTicket
from tickets.importing.kinds import UNASKED
from tickets.importing.network import Network, entries_made
from tickets.models import TicketHolder

NOBODY = Holder()
SALT = bytes(range(32))


def digest(code: str) -> bytes:
    return code_digest(SALT, code)


def chosen(found: Differences, confirmed: Collection[str]) -> list[Change]:
    """The changes of tickets in the network, of which the kind or the key is confirmed."""
    return [one for one in [*found.found, *found.gone] if one.kind in confirmed or one.key in confirmed]


def stored(ticket: str, *, event: str = "fest", entries_made: int = 0, **fields: Any) -> TicketRow:
    """A row of the network, issued and not used unless `fields` say so."""
    counts = (ListCount(MAIN_SLUG, entries_made, 0, 0, 0, 0),) if entries_made else ()
    told = {
        "event": event,
        "ticket": ticket,
        "state": "ISSUED",
        "clock": {},
        "metadata": {},
        "counts": counts,
    }
    numbers = dict.fromkeys(("timestamp", "sequence", "index", "not_before", "not_after"), 0)
    empty = {"nonce": b"", "commitment": b"", "data": b"", "upheld": False, "clock": {}, "metadata": {}}
    names = ("validator", "operation", "principal", "actor", "gate", "device", "note", "product", "seat")
    return TicketRow(**(dict.fromkeys(names, "") | numbers | empty | told | fields))


class PlainNetwork:
    """Tickets of all events, with one salt. Orders are refused as the rules of the kinds say."""

    def __init__(self, *tickets: TicketRow, holder: Holder = NOBODY, ids_are_codes: bool = False) -> None:
        """`holder`: of all these tickets, which no earlier file of the source gave a code."""
        self.tickets = {(one.event, one.ticket): one for one in tickets}
        self.holders = {place: _held(holder) for place in self.tickets}
        self.of_source: set[tuple[str, str]] = set()
        self._ids_are_codes = ids_are_codes

    def compare(self, plan: ImportPlan) -> Differences:
        events = {one.event for one in [*plan.tickets, *plan.refused]}
        by_id = events if self._ids_are_codes else ()
        salts = dict.fromkeys(events, SALT)
        return compare(plan, Network(self.tickets, salts, by_id, self.holders, self.of_source))

    def take(self, plan: ImportPlan, confirmed: Collection[str] = ()) -> Differences:
        """Import a file: issue what is new, order what is confirmed."""
        found = self.compare(plan)
        for one in found.new:
            assert one.ticket is not None
            self._issue(one.ticket)
        for one in chosen(found, confirmed):
            if one.ticket is not None:
                self._issue(one.ticket)
                continue
            if one.kind == "holder":
                self._hold(one.event, one.ticket_id, {change.field: change.new for change in one.fields})
            for request in one.steps(SALT):
                self._order(request)
        return found

    def take_all(self, plan: ImportPlan) -> Differences:
        """Import a file, and order all that is ordered without a person."""
        return self.take(plan, UNASKED)

    def enter(self, ticket_id: str, event: str = "fest") -> None:
        self._replace((event, ticket_id), state="CONSUMED")

    def _issue(self, ticket: ImportedTicket) -> None:
        place = ticket.event, ticket.ticket_id
        assert place not in self.tickets, "ticket_exists"
        taken = {code for one in self.tickets.values() for code in (*one.codes, *one.revoked)}
        codes = tuple(map(digest, ticket.codes))
        assert taken.isdisjoint(codes), "barcode_taken"
        self.tickets[place] = stored(
            ticket.ticket_id,
            event=ticket.event,
            state="CONSUMED" if ticket.entered else "ISSUED",
            product=ticket.product,
            seat=ticket.seat,
            not_before=ticket.not_before,
            not_after=window_end(ticket.not_after // MICROSECONDS),
            entries=ticket.entries,
            entries_made=ticket.entries if ticket.entered else 0,
            blocked=ticket.blocked,
            block_reason=ticket.block_reason,
            codes=codes,
        )
        self.holders[place] = _held(ticket.holder, ticket.order)
        self.of_source.add(place)

    def _hold(self, event: str, ticket_id: str, fields: dict[str, object]) -> None:
        for name, value in fields.items():
            setattr(self.holders[event, ticket_id], name, value)

    def _order(self, request: Request) -> None:
        place = request.event, request.ticket
        one = self.tickets[place]
        match request.command:
            case ChangeTicket() as change:
                assert one.state != "CONSUMED", "already_consumed"
                given = msgspec.structs.asdict(change).items()
                self._replace(place, **{name: value for name, value in given if value is not None})
                after = self.tickets[place]
                assert not after.not_after or after.not_before <= after.not_after, "empty_window"
            case Replace(codes):
                assert codes == tuple(map(digest, request.texts))
                gone = tuple(code for code in (*one.revoked, *one.codes) if code not in codes)
                self._replace(place, codes=codes, revoked=gone)
            case Block(reason):
                assert not one.blocked, "already_blocked"
                self._replace(place, blocked=True, block_reason=reason)
            case ImportEntry():
                assert one.state not in ("CONSUMED", "DISPUTED"), "already_consumed"
                made = entries_made(one) + 1
                count = ListCount(MAIN_SLUG, made, 0, 0, 0, 0)
                state = "CONSUMED" if made == one.entries else "VALIDATED"
                self._replace(place, counts=(count,), state=state)
            case other:
                raise AssertionError(other)

    def _replace(self, place: tuple[str, str], **fields: object) -> None:
        self.tickets[place] = msgspec.structs.replace(self.tickets[place], **fields)


def _held(holder: Holder, order: str = "") -> TicketHolder:
    return TicketHolder(order=order, **msgspec.structs.asdict(holder))
