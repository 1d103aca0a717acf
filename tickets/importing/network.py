"""What is stored of the tickets of a file, read for the comparison: many tickets per query, never one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from dtvn.machine import State
from dtvn.machine.codes import code_digest
from dtvn.machine.fields import is_name
from dtvn.machine.lists import MAIN_SLUG
from dtvn.machine.rows import TicketRow
from tickets.importing.holders import holder_of, in_parts
from tickets.importing.imported import Holder, ImportedTicket
from tickets.importing.plan import ImportPlan, by_event
from tickets.models import TicketCode, TicketHolder
from tickets.services.codes import ids_are_codes, salt_of
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import models as ledger
from validators.ledger.read import event_rows


class StoredTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket of the network. Times are Unix microseconds, 0: no bound."""

    event: str
    ticket_id: str
    state: str = "ISSUED"
    """ISSUED, VALIDATED, CONSUMED or DISPUTED."""
    product: str = ""
    seat: str = ""
    not_before: int = 0
    not_after: int = 0
    blocked: bool = False
    block_reason: str = ""
    entries: int = 1
    """How many persons it admits."""
    entries_made: int = 0
    """How many entries stand on the list `main`."""
    codes: tuple[bytes, ...] = ()
    """Digests of the valid codes, and below of those that were replaced."""
    revoked: tuple[bytes, ...] = ()
    holder: Holder = Holder()
    order: str = ""
    erased: bool = False
    """Whether its holder was erased: then nothing about a person is stored for it again."""
    of_source: bool = False
    """Whether an earlier file of the same source gave it a code."""


class Network(msgspec.Struct, frozen=True):
    """What is stored of the events of a file."""

    tickets: Mapping[tuple[str, str], StoredTicket]
    """(event, ticket id) -> ticket: all that a row may be, and all of the same source."""
    salts: Mapping[str, bytes]
    """Event -> salt of its codes, 32 bytes."""
    ids_are_codes: Collection[str] = ()
    """Events in which the id of a ticket opens it."""


def read_network(plan: ImportPlan, *, source: str) -> Network:
    """All that the rows of a file may be, also those left out by their status, and all tickets that earlier
    files of this source (ImportPlan.key) gave codes to, in the events of the file. As of the platform's copy
    of the log. Raises DatabaseError."""
    rows = event_rows(LEARNER_ALIAS)
    tickets: dict[tuple[str, str], StoredTicket] = {}
    salts: dict[str, bytes] = {}
    by_id = set()
    for event, listed in by_event([*plan.tickets, *plan.refused]).items():
        salts[event] = salt_of(event, rows.get(event))
        if ids_are_codes(rows.get(event)):
            by_id.add(event)
        of_source = _of_source(event, source)
        wanted = _named(event, listed, salts[event], texts=event in by_id) | of_source
        for stored in _stored(event, sorted(wanted), of_source):
            tickets[event, stored.ticket_id] = stored
    return Network(tickets, salts, by_id)


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


def _stored(event: str, names: Sequence[str], of_source: set[str]) -> Iterator[StoredTicket]:
    for part in in_parts(names):
        holders = {
            holder.ticket: holder for holder in TicketHolder.objects.filter(event=event, ticket__in=part)
        }
        for whole in ticket_rows(event, part):
            holder = holders.get(whole.ticket)
            yield StoredTicket(
                event=event,
                ticket_id=whole.ticket,
                state=whole.state,
                product=whole.product,
                seat=whole.seat,
                not_before=whole.not_before,
                not_after=whole.not_after,
                blocked=whole.blocked,
                block_reason=whole.block_reason,
                entries=whole.entries,
                entries_made=entries_made(whole),
                codes=whole.codes,
                revoked=whole.revoked,
                holder=holder_of(holder) if holder else Holder(),
                order=holder.order if holder else "",
                erased=holder is not None and holder.erased_at is not None,
                of_source=whole.ticket in of_source,
            )


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
