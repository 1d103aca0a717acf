"""Compares a file with the network: which ticket each row is, and what it says otherwise of it.

A ticket is recognised by its code; only if nobody has that code, by its id, which a source gives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from dtvn.machine import Block, ChangeTicket, ImportEntry, Replace
from dtvn.machine.bodies import SECONDS_MAX, window_end
from dtvn.machine.codes import CODES_MAX, code_digest
from dtvn.machine.fields import MICROSECONDS
from dtvn.machine.rows import TicketRow
from tickets.importing.answers import PERSONS
from tickets.importing.changes import (
    PERSON,
    TERMS,
    Change,
    Differences,
    FieldChange,
    key_of_new,
    new_ticket,
)
from tickets.importing.imported import ImportedTicket, WrongRow
from tickets.importing.kinds import BARRED
from tickets.importing.network import Network, Place, entries_made
from tickets.importing.plan import ImportPlan, made_up, unsalted
from tickets.models import TicketHolder

GONE_REASON = "no longer in the seller's file"
ENTERED = "its guest has entered already"
STEPS_OF_NEW = frozenset({"replace", "entry"})
"""What the steps of a new ticket bring about after its issue."""
FOR_SO_MANY = "for how many persons a ticket is cannot be changed; cancel it, and issue another one"


def compare(plan: ImportPlan, network: Network, confirmed: Collection[str] = ()) -> Differences:
    """Compare the rows of a file, also those left out by their status, with the network. A field without a
    column in the file is not compared. `confirmed`: keys of changes that are being carried out."""
    found = Differences()
    matched = _Matching(plan, network, found).stored
    for ticket in [*plan.tickets, *plan.refused]:
        if (stored := matched.get(_place(ticket))) is None:
            continue
        differences = list(_differences(ticket, stored, plan, network))
        found.same += not differences
        if confirmed and key_of_new(ticket) in confirmed:
            named = msgspec.structs.replace(ticket, ticket_id=stored.ticket)
            found.begun.append(new_ticket(named))
            differences = [one for one in differences if one.kind not in STEPS_OF_NEW]
        found.found += [one for one in differences if not one.why]
        found.unchanged += [one for one in differences if one.why]
    known = {(stored.event, stored.ticket) for stored in matched.values()}
    found.gone = [
        Change(
            kind="gone",
            row=0,
            event=stored.event,
            ticket_id=stored.ticket,
            commands=(Block(GONE_REASON),),
            about=_about(stored, network),
        )
        for place, stored in sorted(network.tickets.items())
        if place in network.of_source and not stored.blocked and place not in known
    ]
    found.matched = {place: stored.ticket for place, stored in matched.items()}
    return found


class _Matching:
    """Finds the ticket of each row: first by codes in the whole file, then by id."""

    def __init__(self, plan: ImportPlan, network: Network, found: Differences) -> None:
        self.stored: dict[Place, TicketRow] = {}
        """(event, id in the file) -> its ticket in the network."""
        self._plan, self._network, self._found = plan, network, found
        self._owners = {
            (stored.event, digest): stored
            for stored in network.tickets.values()
            for digest in (*stored.codes, *stored.revoked)
        }
        self._rows: dict[tuple[str, str], int] = {}
        self._left_out = {_place(ticket) for ticket in plan.refused}
        unknown = [ticket for ticket in [*plan.tickets, *plan.refused] if not self._match_code(ticket)]
        for ticket in unknown:
            self._match_id(ticket)
        found.new.sort(key=lambda one: one.row)
        found.unclear.sort(key=lambda one: one.row)

    def _match_code(self, ticket: ImportedTicket) -> bool:
        """Whether this ticket is settled by its codes."""
        owners = [self._owner(ticket.event, code) for code in ticket.codes]
        different = {stored.ticket: stored for stored in owners if stored is not None}
        if len(different) > 1:
            self._doubt(ticket, f"has codes of several tickets: {', '.join(sorted(different))}")
        for stored in different.values() if len(different) == 1 else ():
            self._take(ticket, stored)
        return bool(different)

    def _owner(self, event: str, code: str) -> TicketRow | None:
        stored = self._owners.get((event, code_digest(self._network.salts[event], code)))
        named = self._network.tickets.get((event, code))
        if stored is None and named is not None and _opens_by_id(named, self._network):
            return named
        return stored

    def _match_id(self, ticket: ImportedTicket) -> None:
        stored = self._network.tickets.get(_place(ticket))
        if stored is None:
            self._add(ticket)
        elif _place(ticket) in self._rows:
            # The id went to another ticket of the source; its code says that this is a ticket of its own.
            name = made_up(ticket, self._network.salts[ticket.event])
            self._add(ticket, name)
        elif (
            _place(ticket) in self._network.of_source
            or not (stored.codes or stored.revoked)
            or (ticket.admits and not ticket.codes)
        ):
            self._take(ticket, stored)
        else:
            self._doubt(ticket, f"{ticket.ticket_id} is a ticket with another code, of another source")

    def _take(self, ticket: ImportedTicket, stored: TicketRow) -> None:
        name = (stored.event, stored.ticket)
        if name in self._rows:
            self._doubt(ticket, f"is ticket {stored.ticket}, as row {self._rows[name]} is")
            return
        self._rows[name] = ticket.row
        self.stored[_place(ticket)] = stored

    def _add(self, ticket: ImportedTicket, name: str = "") -> None:
        if _place(ticket) not in self._left_out:
            named = msgspec.structs.replace(ticket, ticket_id=name) if name else ticket
            if ticket.admits and unsalted(ticket) in self._plan.barred:
                self._found.found.append(new_ticket(named, BARRED))
            else:
                self._found.new.append(new_ticket(named))

    def _doubt(self, ticket: ImportedTicket, why: str) -> None:
        if _place(ticket) not in self._left_out:
            self._found.unclear.append(WrongRow(ticket.row, why))


def _place(ticket: ImportedTicket) -> Place:
    return ticket.event, ticket.ticket_id


def _differences(
    ticket: ImportedTicket, stored: TicketRow, plan: ImportPlan, network: Network
) -> Iterator[Change]:
    """All that the file says otherwise of one ticket."""
    holder, about = network.holder(stored), _about(stored, network)
    common = Change(kind="", row=ticket.row, event=stored.event, ticket_id=stored.ticket, about=about)

    def difference(kind: str, why: str = "", **more: object) -> Change:
        return msgspec.structs.replace(common, kind=kind, why=why, **more)

    entered = stored.state == "CONSUMED"
    if not ticket.admits:
        if not stored.blocked:
            yield difference("cancel", commands=(Block(ticket.block_reason),))
        return
    if terms := _changes(TERMS, ticket, stored, plan):
        changed: dict[str, Any] = {one.field: one.new for one in terms}
        wanted = {field: getattr(stored, field) for field in TERMS} | changed
        empty = 0 < wanted["not_after"] < wanted["not_before"]
        yield difference(
            "change",
            ENTERED if entered else "its window would be empty" if empty else "",
            fields=terms,
            commands=(ChangeTicket(**changed),),
            about=(holder.name,),
        )
    person_in_file = TicketHolder(order=ticket.order, **msgspec.structs.asdict(ticket.holder))
    if person := _changes(PERSON, person_in_file, holder, plan):
        if holder.erased_at is None:
            yield difference("holder", ENTERED if entered else "", fields=person, about=())
        elif any(one.new for one in person):
            yield difference("holder", "its holder was erased", about=())
    if codes := _new_codes(ticket, stored, network):
        why = _irreplaceable(codes, stored)
        commands = (Replace(codes),)
        yield difference("replace", why, commands=commands, texts=ticket.codes, before=stored.codes)
    if ticket.blocked and not stored.blocked:
        yield difference("block", commands=(Block(ticket.block_reason),))
    if stored.blocked and not ticket.blocked:
        why, kept = "only a person unblocks a ticket", Block(stored.block_reason)
        yield difference("block", why, commands=(kept,))
    counted = any(map(plan.read.get, ("quantity", "entries"))) or plan.answers.repeats == PERSONS
    if counted and ticket.entries != stored.entries:
        other = FieldChange("entries", str(stored.entries), str(ticket.entries))
        yield difference("change", FOR_SO_MANY, fields=(other,))
    if ticket.entered and not (entered or entries_made(stored)):
        why = "it is disputed" if stored.state == "DISPUTED" else ""
        entry = ImportEntry(ticket.entered_at, ticket.gate, ticket.device)
        yield difference("entry", why, commands=(entry,) * (ticket.made or stored.entries))


def _about(stored: TicketRow, network: Network) -> tuple[str, ...]:
    return network.holder(stored).name, stored.product, stored.seat


def _changes(
    fields: Mapping[str, tuple[str, Sequence[str]]], new: object, old: object, plan: ImportPlan
) -> tuple[FieldChange, ...]:
    """The fields that differ, of those that the file has columns for."""
    found = []
    for field, (_, columns) in fields.items():
        before, after = getattr(old, field), getattr(new, field)
        if plan.read.keys().isdisjoint(columns) or _comparable(before) == _comparable(after):
            continue
        found.append(FieldChange(field, before, _until(after) if field == "not_after" else after))
    return tuple(found)


def _comparable(value: str | int) -> str | int:
    """Files have whole seconds up to the year 9999, the log has more."""
    return min(value // MICROSECONDS, SECONDS_MAX) if isinstance(value, int) else value


def _until(moment: int) -> int:
    """The end of a window as the log has it: through its whole second."""
    return window_end(moment // MICROSECONDS)


def _new_codes(ticket: ImportedTicket, stored: TicketRow, network: Network) -> tuple[bytes, ...]:
    """The digests of all codes in the file, if one of them does not open the ticket; else none."""
    by_id = _opens_by_id(stored, network)
    missing = False
    digests = []
    for code in ticket.codes:
        digests.append(code_digest(network.salts[ticket.event], code))
        missing |= digests[-1] not in stored.codes and not (by_id and code == stored.ticket)
    return tuple(digests) if missing else ()


def _opens_by_id(stored: TicketRow, network: Network) -> bool:
    """Whether the id of a ticket is its code: it has no other, and ids of its event are codes."""
    return stored.event in network.ids_are_codes and not stored.codes


def _irreplaceable(codes: Sequence[bytes], stored: TicketRow) -> str:
    """Why these cannot become the codes of the ticket; "" if they can."""
    if not set(codes).isdisjoint(stored.revoked):
        return "the code in the file was replaced in the network"
    if len({*codes, *stored.codes, *stored.revoked}) > CODES_MAX:
        return f"a ticket has at most {CODES_MAX} codes in all"
    return ""
