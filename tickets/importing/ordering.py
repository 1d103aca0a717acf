"""Issues imported tickets through this platform's own gateway: what the worker does for the import page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from dtvn.api.bodies import convert, request_of
from dtvn.api.errors import TicketError, Unavailable
from dtvn.api.ordering import Decision, Request
from dtvn.machine import reasons
from dtvn.machine.codes import code_digest
from dtvn.machine.kinds import OPERATIONS
from tickets.importing.completing import ask
from tickets.importing.delivering import Part
from tickets.importing.imported import ImportedTicket
from tickets.importing.platform import Refused, pause_before
from tickets.importing.sending import BATCH_SIZE, Delivery, NetworkSilent, operation_of, settled
from tickets.services.codes import salt_of
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read

Order = Callable[[Sequence[Request]], Sequence[Decision]]


def order_tickets(
    part: Part, delivery: Delivery, *, order: Order, patience: float, told: Callable[[int], None]
) -> None:
    """Issues the tickets of a part; `told(n)` whenever n more have a final answer.

    Raises NetworkSilent when no ticket got a final answer for `patience` seconds, and Refused when nothing of
    this import is accepted.
    """
    salt = _salt(part)
    for start in range(0, len(part.tickets), BATCH_SIZE):
        pending = list(part.tickets[start : start + BATCH_SIZE])
        give_up_at, attempt = time.monotonic() + patience, 1
        while pending:
            sent = delivery.note_sent(pending)
            try:
                results = _ask(order, [_request(ticket, part, salt) for ticket in pending])
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


def _salt(part: Part) -> bytes:
    """The salt of the codes of its event; b"" if no ticket has codes."""
    coded = any(ticket.codes for ticket in part.tickets)
    return salt_of(part.event, read.event_row(LEARNER_ALIAS, part.event)) if coded else b""


def _request(ticket: ImportedTicket, part: Part, salt: bytes) -> Request:
    fields = operation_of(ticket, part.commitments.get(ticket.ticket_id, b""))
    del fields["op"]
    texts = tuple(fields.pop("barcodes", ()))
    fields["barcode_digests"] = [code_digest(salt, text).hex() for text in texts]
    request = request_of("issue", convert(fields, OPERATIONS["issue"].body))
    return msgspec.structs.replace(request, texts=texts)


def _ask(order: Order, requests: list[Request]) -> list[dict[str, Any]]:
    """One result per request, as a batch answers."""
    try:
        decisions = ask(requests, order)
    except Unavailable as error:
        return [{"status": error.status, "code": reasons.UNAVAILABLE}] * len(requests)
    except TicketError as error:
        raise Refused(str(error)) from error
    return [
        {
            "status": decision.status,
            "code": decision.code,
            "error": decision.sentence,
            "sequence": decision.result.sequence,
        }
        for decision in decisions
    ]
