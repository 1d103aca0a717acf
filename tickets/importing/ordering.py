"""Issues imported tickets through this platform's own gateway: what the worker does for the import page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from dtvn.api.bodies import convert, request_of
from dtvn.api.errors import TicketError, Unavailable
from dtvn.api.ordering import Decision, Request
from dtvn.machine import reasons
from dtvn.machine.kinds import OPERATIONS
from tickets.importing.delivering import Part
from tickets.importing.imported import ImportedTicket
from tickets.importing.platform import Refused, pause_before
from tickets.importing.sending import BATCH_SIZE, Delivery, NetworkSilent, operation_of, settled

Order = Callable[[Sequence[Request]], Sequence[Decision]]


def order_tickets(
    part: Part, delivery: Delivery, *, order: Order, patience: float, told: Callable[[int], None]
) -> None:
    """Issues the tickets of a part; `told(n)` whenever n more have a final answer.

    Raises NetworkSilent when no ticket got a final answer for `patience` seconds, and Refused when nothing of
    this import is accepted.
    """
    for start in range(0, len(part.tickets), BATCH_SIZE):
        pending = list(part.tickets[start : start + BATCH_SIZE])
        give_up_at, attempt = time.monotonic() + patience, 1
        while pending:
            sent = delivery.note_sent(pending)
            try:
                results = _ask(order, [_request(ticket, part) for ticket in pending])
            except Refused:
                delivery.possible -= sent
                raise
            undecided = [
                ticket
                for ticket, result in zip(pending, results, strict=True)
                if not settled(ticket, result, delivery, sent)
            ]
            if done := len(pending) - len(undecided):
                told(done)
                give_up_at = time.monotonic() + patience
            pending, attempt = undecided, attempt + 1
            if pending and time.monotonic() >= give_up_at:
                raise NetworkSilent(f"no final answer for {patience:.0f} s")
            if pending:
                threading.Event().wait(pause_before(attempt, None))


def _request(ticket: ImportedTicket, part: Part) -> Request:
    fields = operation_of(ticket, part.commitments.get(ticket.ticket_id, b""))
    del fields["op"]
    return request_of("issue", convert(fields, OPERATIONS["issue"].body))


def _ask(order: Order, requests: list[Request]) -> list[dict[str, Any]]:
    """One result per request, as a batch answers."""
    try:
        decisions = order(requests)
    except Unavailable as error:
        return [{"status": error.status, "code": reasons.UNAVAILABLE}] * len(requests)
    except TicketError as error:
        raise Refused(str(error)) from error
    return [
        {"status": decision.status, "code": decision.code, "error": decision.sentence}
        for decision in decisions
    ]
