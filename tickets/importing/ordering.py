"""Has imported tickets issued through this platform's own gateway.

Requests carry no nonces: a ticket is issued once, so a repetition is harmless, and for an import "exists" is
as good as "issued". The cluster remembers a bounded number of nonces per gateway (R13), and an import would
use up those that the gates need.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from dtvn.api.bodies import convert, request_of
from dtvn.api.errors import InvalidRequest, TicketError, Unavailable
from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import reasons
from dtvn.machine.codes import code_digest
from dtvn.machine.fields import MICROSECONDS
from dtvn.machine.kinds import OPERATIONS
from tickets.importing.completing import Asking, Order, may_stand
from tickets.importing.delivery import Delivery, steps
from tickets.importing.imported import ImportedTicket, WrongRow
from tickets.importing.until_final import BATCH_SIZE, TRY_AGAIN, NetworkSilent, Refused, pause_before


class Part(msgspec.Struct, frozen=True):
    """Tickets of one event that do not contradict earlier imports; holders and codes are stored."""

    event: str
    tickets: Sequence[ImportedTicket]
    commitments: Mapping[str, bytes]
    """Ticket ID -> commitment to its holder."""
    salt: bytes
    """Of the event's codes."""


class Ordering:
    """`told(n)`: whenever n more tickets are as the file says. `patience`: seconds without any final answer
    after which NetworkSilent is raised."""

    def __init__(self, order: Order, *, patience: float, told: Callable[[int], None]) -> None:
        self._asking, self._patience, self._told = Asking(order), patience, told

    def send(self, part: Part, delivery: Delivery) -> None:
        """Issue the tickets of a part. Raises NetworkSilent, and Refused when nothing of this import is
        accepted."""
        for start in range(0, len(part.tickets), BATCH_SIZE):
            tickets = part.tickets[start : start + BATCH_SIZE]
            for ticket, decision in self._decided(tickets, part, delivery):
                delivery.sequence = max(delivery.sequence, decision.result.sequence)
                if decision.code == reasons.OK:
                    delivery.issued += 1
                elif decision.code == reasons.TICKET_EXISTS:
                    delivery.existed += 1
                else:
                    said = f"{ticket.ticket_id} was refused: {decision.sentence}"
                    delivery.wrong.append(WrongRow(ticket.row, said))
            self._told(len(tickets))

    def settle(self, requests: Sequence[Request]) -> Iterator[Decision]:
        """The final decision about each of these, of which none is repeated with another effect. Raises as
        `send`."""
        pending, attempt, give_up_at = list(requests), 1, time.monotonic() + self._patience
        while pending:
            decisions = self._ask(pending[:BATCH_SIZE])
            final = [one for one in decisions if one.status not in TRY_AGAIN]
            yield from final
            if final:
                give_up_at, attempt = time.monotonic() + self._patience, 1
            undecided = [one.request for one in decisions if one.status in TRY_AGAIN]
            pending = undecided + pending[BATCH_SIZE:]
            if undecided and time.monotonic() >= give_up_at:
                raise NetworkSilent(f"no final answer for {self._patience:.0f} s")
            if undecided:
                attempt += 1
                threading.Event().wait(pause_before(attempt))

    def _decided(
        self,
        tickets: Sequence[ImportedTicket],
        part: Part,
        delivery: Delivery,
    ) -> Iterator[tuple[ImportedTicket, Decision]]:
        """Each ticket with the final decision about its request, which is sent until there is one."""
        pending: list[tuple[ImportedTicket, Request]] = []
        for ticket in tickets:
            try:
                commitment = part.commitments.get(ticket.ticket_id, b"")
                pending.append((ticket, issue_of(ticket, commitment, part.salt)))
            except InvalidRequest as error:
                delivery.wrong.append(WrongRow(ticket.row, f"{ticket.ticket_id} cannot be issued: {error}"))
        attempt, give_up_at = 1, time.monotonic() + self._patience
        while pending:
            fresh = {ticket.ticket_id for ticket, _ in pending} - delivery.possible
            delivery.possible |= fresh
            try:
                decisions = self._ask([request for _, request in pending])
            except Refused:
                delivery.possible -= fresh
                raise
            undecided = []
            for pair, decision in zip(pending, decisions, strict=True):
                ticket = pair[0]
                if ticket.ticket_id in fresh and _is_not_there(decision):
                    delivery.possible.discard(ticket.ticket_id)
                if decision.status in TRY_AGAIN:
                    undecided.append(pair)
                else:
                    yield ticket, decision
            if len(undecided) < len(pending):
                give_up_at = time.monotonic() + self._patience
            pending, attempt = undecided, attempt + 1
            if pending and time.monotonic() >= give_up_at:
                raise NetworkSilent(f"no final answer for {self._patience:.0f} s")
            if pending:
                threading.Event().wait(pause_before(attempt))

    def _ask(self, requests: list[Request]) -> list[Decision]:
        try:
            return list(self._asking(requests))
        except Unavailable as error:
            return [Decision(request, Result(error.code)) for request in requests]
        except TicketError as error:
            raise Refused(str(error)) from error


def issue_of(ticket: ImportedTicket, commitment: bytes, salt: bytes) -> Request:
    """The operation that issues a ticket; raises InvalidRequest. `commitment`: b"" for none. `salt`: of the
    event's codes."""
    texts = steps(ticket)[0]
    fields: dict[str, Any] = {
        "ticket_id": ticket.ticket_id,
        "event": ticket.event,
        "product": ticket.product,
        "seat": ticket.seat,
        "entries": ticket.entries,
        "not_before": ticket.not_before // MICROSECONDS,
        "not_after": ticket.not_after // MICROSECONDS,
        "blocked": ticket.blocked,
        "block_reason": ticket.block_reason,
        "commitment": commitment.hex(),
        "barcode_digests": [code_digest(salt, text).hex() for text in texts] or None,
    }
    request = request_of("issue", convert(fields, OPERATIONS["issue"].body))
    return msgspec.structs.replace(request, texts=texts)


def _is_not_there(decision: Decision) -> bool:
    """Whether a ticket that was sent for the first time is surely not in the network."""
    return not may_stand(decision) and decision.code not in (reasons.OK, reasons.TICKET_EXISTS)
