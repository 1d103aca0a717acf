"""A network of plain values, which issues what a file says is new and carries out what is ordered."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from dtvn.api.ordering import Request
from dtvn.machine import Block, ChangeTicket, ImportEntry, Replace
from dtvn.machine.bodies import window_end
from dtvn.machine.codes import code_digest
from dtvn.machine.fields import MICROSECONDS
from tickets.importing import ImportPlan
from tickets.importing.changes import Change, Differences
from tickets.importing.comparing import compare
from tickets.importing.imported import ImportedTicket
from tickets.importing.kinds import UNASKED
from tickets.importing.network import Network, StoredTicket

SALT = bytes(range(32))


def digest(code: str) -> bytes:
    return code_digest(SALT, code)


def chosen(found: Differences, confirmed: Collection[str]) -> list[Change]:
    """The changes of tickets in the network, of which the kind or the key is confirmed."""
    return [one for one in [*found.found, *found.gone] if one.kind in confirmed or one.key in confirmed]


class PlainNetwork:
    """Tickets of all events, with one salt. Orders are refused as the rules of the kinds say."""

    def __init__(self, *tickets: StoredTicket, ids_are_codes: bool = False) -> None:
        self.tickets = {(one.event, one.ticket_id): one for one in tickets}
        self._ids_are_codes = ids_are_codes

    def compare(self, plan: ImportPlan) -> Differences:
        events = {one.event for one in [*plan.tickets, *plan.refused]}
        by_id = events if self._ids_are_codes else ()
        return compare(plan, Network(self.tickets, dict.fromkeys(events, SALT), by_id))

    def take(self, plan: ImportPlan, confirmed: Collection[str] = ()) -> Differences:
        """Import a file: issue what is new, order what is confirmed."""
        found = self.compare(plan)
        for one in found.new:
            assert one.ticket is not None
            self._issue(one.ticket)
        for one in chosen(found, confirmed):
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
        self.tickets[place] = StoredTicket(
            event=ticket.event,
            ticket_id=ticket.ticket_id,
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
            holder=ticket.holder,
            order=ticket.order,
            of_source=True,
        )

    def _hold(self, event: str, ticket_id: str, fields: dict[str, object]) -> None:
        order = fields.pop("order", self.tickets[event, ticket_id].order)
        holder = msgspec.structs.replace(self.tickets[event, ticket_id].holder, **fields)
        self._replace((event, ticket_id), holder=holder, order=order)

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
                made = one.entries_made + 1
                self._replace(
                    place, entries_made=made, state="CONSUMED" if made == one.entries else "VALIDATED"
                )
            case other:
                raise AssertionError(other)

    def _replace(self, place: tuple[str, str], **fields: object) -> None:
        self.tickets[place] = msgspec.structs.replace(self.tickets[place], **fields)
