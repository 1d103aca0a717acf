"""What is stored of the tickets of a file, read for the comparison: many tickets per query, never one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from dtvn.machine import State
from dtvn.machine.codes import code_digest
from dtvn.machine.fields import is_name
from dtvn.machine.lists import MAIN_SLUG
from dtvn.machine.rows import TicketRow
from tickets.importing.holders import in_parts
from tickets.importing.imported import ImportedTicket
from tickets.importing.plan import ImportPlan, by_event
from tickets.models import TicketCode, TicketHolder
from tickets.services.codes import ids_are_codes, salt_of
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import models as ledger
from validators.ledger.read import event_rows

Place = tuple[str, str]
"""Event and ticket id."""


class Network(msgspec.Struct, frozen=True):
    """What is stored of the events of a file."""

    tickets: Mapping[Place, TicketRow]
    """All that a row may be, and all of the same source."""
    salts: Mapping[str, bytes]
    """Event -> salt of its codes, 32 bytes."""
    ids_are_codes: Collection[str] = ()
    """Events in which the id of a ticket opens it."""
    holders: Mapping[Place, TicketHolder] = {}
    """Of those tickets that have one, or had one who was erased."""
    of_source: Collection[Place] = ()
    """Tickets to which an earlier file of the same source gave a code."""

    def holder(self, stored: TicketRow) -> TicketHolder:
        """Who holds a ticket, without a name if nobody is known."""
        return self.holders.get((stored.event, stored.ticket)) or TicketHolder()


def read_network(plan: ImportPlan, *, source: str) -> Network:
    """All that the rows of a file may be, also those left out by their status, and all tickets that earlier
    files of this source (ImportPlan.key) gave codes to, in the events of the file. As of the platform's copy
    of the log. Raises DatabaseError."""
    rows = event_rows(LEARNER_ALIAS)
    network = Network({}, {}, set(), {}, set())
    tickets, salts, by_id, holders, of_source = msgspec.structs.astuple(network)
    for event, listed in by_event([*plan.tickets, *plan.refused]).items():
        salts[event] = salt_of(event, rows.get(event))
        if ids_are_codes(rows.get(event)):
            by_id.add(event)
        given = _of_source(event, source)
        of_source |= {(event, name) for name in given}
        wanted = sorted(_named(event, listed, salts[event], texts=event in by_id) | given)
        tickets |= {(event, row.ticket): row for row in ticket_rows(event, wanted)}
        for part in in_parts(wanted):
            found = TicketHolder.objects.filter(event=event, ticket__in=part)
            holders |= {(event, holder.ticket): holder for holder in found}
    return network


def _of_source(event: str, source: str) -> set[str]:
    return set(TicketCode.objects.filter(event=event, source=source).values_list("ticket", flat=True))


def _named(event: str, listed: Sequence[ImportedTicket], salt: bytes, *, texts: bool) -> set[str]:
    """Ids that the file names, and those of the tickets that have its codes. `texts`: codes may be ids."""
    codes = [code for ticket in listed for code in ticket.codes]
    names = {ticket.ticket_id for ticket in listed}
    if texts:
        names |= set(filter(is_name, codes))
    rows = ledger.TicketCode.objects.using(LEARNER_ALIAS).filter(event=event)
    for part in in_parts([code_digest(salt, code) for code in codes]):
        names |= set(rows.filter(digest__in=part).values_list("ticket_id", flat=True))
    return names


def ticket_rows(event: str, names: Sequence[str]) -> Iterator[TicketRow]:
    """The rows of these tickets of one event in the platform's copy."""
    for part in in_parts(names):
        rows = ledger.Ticket.objects.using(LEARNER_ALIAS).filter(event=event, ticket_id__in=part)
        for row in rows.only("row"):
            yield row.whole


def entries_made(stored: TicketRow) -> int:
    """How many entries of a ticket stand on the list `main`."""
    if stored.counts or stored.movements or stored.state != State.CONSUMED.name:
        return sum(count.entries for count in stored.counts if count.list == MAIN_SLUG)
    return 1  # see dtvn.machine.visits.visits_of
