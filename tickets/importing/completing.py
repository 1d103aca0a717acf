"""What follows the issue of a ticket: codes that revoke the ones before them, and the entry of its guest.

Each step is taken from what is stored, so an import that stopped goes on where it was, and a ticket whose
codes somebody changed since stays as it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from dtvn.api.errors import TicketError, Unavailable
from dtvn.api.ordering import Decision, Request
from dtvn.machine import ImportEntry, Replace, State, reasons
from dtvn.machine.codes import code_digest
from dtvn.machine.lists import MAIN_SLUG
from dtvn.machine.rows import TicketRow
from tickets.importing.delivery import Delivery, steps
from tickets.importing.imported import ImportedTicket, WrongRow
from tickets.importing.until_final import BATCH_SIZE, TRY_AGAIN, NetworkSilent, Refused, pause_before
from tickets.services import codes
from tickets.services.search import state_of_row
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read
from validators.ledger.models import Ticket

ROWS_AT_ONCE = 500
OWN_WRITES_WAIT = 1.0
"""Seconds for the platform's copy to include what was decided."""
MAY_ENTER = frozenset({State.ISSUED, State.VALIDATED})

Order = Callable[[Sequence[Request]], Sequence[Decision]]


def next_step(ticket: ImportedTicket, stored: TicketRow, salt: bytes) -> Request | None:
    """What is missing until the stored ticket is the imported one; None for nothing, or if its codes are
    other ones."""
    texts = steps(ticket)
    digests = [tuple(code_digest(salt, text) for text in step) for step in texts]
    present = stored.revoked, stored.codes
    taken = [(tuple(chain.from_iterable(digests[:at])), given) == present for at, given in enumerate(digests)]
    if True not in taken:
        return None
    if following := digests[taken.index(True) + 1 :]:
        return Request(Replace(following[0]), ticket.ticket_id, ticket.event, texts=texts[-len(following)])
    if ticket.entered and _may_enter(ticket, stored):
        entry = ImportEntry(ticket.entered_at, ticket.gate, ticket.device)
        return Request(entry, ticket.ticket_id, ticket.event)
    return None


def entries_made(stored: TicketRow) -> int:
    """How many entries of a ticket stand on the list `main`."""
    if stored.counts or stored.movements or stored.state != State.CONSUMED.name:
        return sum(count.entries for count in stored.counts if count.list == MAIN_SLUG)
    return 1  # see dtvn.machine.visits.visits_of


def _may_enter(ticket: ImportedTicket, stored: TicketRow) -> bool:
    """Whether an entry of the source is not recorded."""
    return state_of_row(stored) in MAY_ENTER and entries_made(stored) < ticket.entries_made


def complete(
    tickets: Sequence[ImportedTicket],
    delivery: Delivery,
    *,
    order: Order,
    patience: float,
) -> None:
    """Take all steps that issued tickets of one event lack. Raises NetworkSilent after `patience` seconds
    without an answer, and Refused."""
    pending = {ticket.ticket_id: ticket for ticket in tickets if ticket.needs_operate}
    if pending and feed.wait_for(delivery.sequence, patience) < delivery.sequence:
        raise NetworkSilent("the platform's copy of the log lags behind")
    give_up_at, attempt, ask = time.monotonic() + patience, 1, Asking(order)
    while requests := list(_missing(pending)):
        try:
            decisions = ask(requests)
        except Unavailable:
            decisions = []
        except TicketError as error:
            raise Refused(str(error)) from error
        decided = [one for one in decisions if one.status not in TRY_AGAIN]
        for one in decided:
            if one.code not in (reasons.OK, reasons.ALREADY_CONSUMED):
                ticket = pending.pop(one.request.ticket)
                delivery.wrong.append(WrongRow(ticket.row, f"{ticket.ticket_id}: {one.sentence}"))
        if decided:
            feed.wait_for(max(one.result.sequence for one in decided), OWN_WRITES_WAIT)
            give_up_at, attempt = time.monotonic() + patience, 1
        elif time.monotonic() >= give_up_at:
            raise NetworkSilent(f"no final answer for {patience:.0f} s")
        else:
            attempt += 1
            threading.Event().wait(pause_before(attempt))
    _count(pending, delivery)


def _count(tickets: dict[str, ImportedTicket], delivery: Delivery) -> None:
    """Count the guests who are inside; who is not, since the ticket of this id has other codes, is said."""
    for row in _rows(sorted(tickets), tickets):
        ticket = tickets[row.ticket]
        if ticket.entered and _may_enter(ticket, row):
            why = "its guest entered elsewhere, but the ticket of this id has other codes here"
            delivery.wrong.append(WrongRow(ticket.row, f"{ticket.ticket_id}: {why}"))
        else:
            delivery.entered += ticket.entered


class Asking:
    """Has requests ordered. The texts of their codes are stored before, and deleted if they are refused and
    no earlier request for the same ticket may have been executed."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._doubted: set[tuple[str, str]] = set()
        """(event, ticket) of requests that may have been executed, or may be yet."""

    def __call__(self, requests: Sequence[Request]) -> Sequence[Decision]:
        codes.remember(requests)
        decisions = self._order(requests)
        self._doubted |= {_place(one) for one in decisions if may_stand(one)}
        codes.forget_refused([one for one in decisions if _place(one) not in self._doubted])
        return decisions


def may_stand(decision: Decision) -> bool:
    """Whether a request without a final answer may have been executed, or may be yet."""
    return decision.status in TRY_AGAIN and decision.code not in reasons.NOT_SENT


def _place(decision: Decision) -> tuple[str, str]:
    return decision.request.event, decision.request.ticket


def _missing(pending: dict[str, ImportedTicket]) -> Iterator[Request]:
    """At most BATCH_SIZE next steps."""
    names, found = sorted(pending), 0
    if not names:
        return
    event = pending[names[0]].event
    salt = codes.salt_of(event, read.event_row(LEARNER_ALIAS, event))
    for row in _rows(names, pending):
        if found < BATCH_SIZE and (step := next_step(pending[row.ticket], row, salt)):
            found += 1
            yield step


def _rows(names: Sequence[str], tickets: dict[str, ImportedTicket]) -> Iterator[TicketRow]:
    """The stored rows of tickets of one event."""
    for start in range(0, len(names), ROWS_AT_ONCE):
        rows = Ticket.objects.using(LEARNER_ALIAS).filter(
            event=tickets[names[0]].event, ticket_id__in=names[start : start + ROWS_AT_ONCE]
        )
        for row in rows.only("row"):
            yield row.whole
