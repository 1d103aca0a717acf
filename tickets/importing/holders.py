"""Keeps personal data out of the log: an erasable row here, a salted commitment in the log.

commitment = H("dtvn/v1/holder", salt, canonical bytes of Holder), with 32 random bytes of salt per ticket:
without the salt a guess cannot be tested against the log, and erasing destroys the salt.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from django.utils import timezone

from dtvn.protocol import canonical
from tickets.importing.imported import Holder, ImportedTicket, WrongRow
from tickets.models import COMMITMENT_SALT_BYTES, TicketHolder

ROWS_AT_ONCE = 500
"""Tickets per query; SQLite takes at most 32,766 parameters, and a row has 12."""


def commitment(holder: Holder, salt: bytes) -> bytes:
    """Commitment to a holder: 32 bytes, which reveal nothing without the salt."""
    return canonical.tagged_digest("dtvn/v1/holder", salt, canonical.encode(holder))


class Kept(NamedTuple):
    """Result of storing the holders of one event's tickets."""

    commitments: dict[str, bytes]
    """Ticket ID -> commitment to its holder."""
    contradictions: list[WrongRow]
    """Rows that contradict what was stored before."""
    fresh: set[str]
    """Tickets whose holders were not stored before."""


def remember_holders(tickets: Sequence[ImportedTicket]) -> Kept:
    """Store the holders of tickets of one event.

    They are stored before the tickets are sent, so no ticket is ever without its holder. A repeated import
    reuses the stored salt, so it sends the same bytes (R13). An order's number is not committed to: one that
    an earlier import did not read is added.
    """
    kept = Kept({}, [], set())
    for part in _parts(tickets):
        made = {ticket.ticket_id: _row(ticket) for ticket in part}
        TicketHolder.objects.bulk_create(made.values(), ignore_conflicts=True)
        rows = _stored(part)
        added = []
        for ticket in part:
            row = rows[ticket.ticket_id]
            if problem := _contradiction(row, ticket):
                kept.contradictions.append(WrongRow(ticket.row, f"{ticket.ticket_id} {problem}"))
                continue
            if ticket.holder or ticket.secret_digest:
                kept.commitments[ticket.ticket_id] = commitment(ticket.holder, bytes(row.salt))
            if bytes(row.salt) == made[ticket.ticket_id].salt:
                kept.fresh.add(ticket.ticket_id)
            elif ticket.order and not row.order:
                row.order = ticket.order
                added.append(row)
        TicketHolder.objects.bulk_update(added, ["order"])
    return kept


def contradicting(tickets: Sequence[ImportedTicket]) -> Iterator[WrongRow]:
    """The rows of one event that contradict holders stored before."""
    for part in _parts(tickets):
        rows = _stored(part)
        for ticket in part:
            row = rows.get(ticket.ticket_id)
            if row is not None and (problem := _contradiction(row, ticket)):
                yield WrongRow(ticket.row, f"{ticket.ticket_id} {problem}")


def _parts(tickets: Sequence[ImportedTicket]) -> Iterator[Sequence[ImportedTicket]]:
    """The tickets that name a holder, a secret or an order, ROWS_AT_ONCE at a time."""
    with_data = [ticket for ticket in tickets if ticket.holder or ticket.secret_digest or ticket.order]
    for start in range(0, len(with_data), ROWS_AT_ONCE):
        yield with_data[start : start + ROWS_AT_ONCE]


def _stored(part: Sequence[ImportedTicket]) -> dict[str, TicketHolder]:
    names = [ticket.ticket_id for ticket in part]
    return {row.ticket: row for row in TicketHolder.objects.filter(event=part[0].event, ticket__in=names)}


def forget_holders(event: str, tickets: Iterable[str]) -> None:
    """Delete the stored holders of tickets that were not issued."""
    wanted = sorted(tickets)
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        part = wanted[start : start + ROWS_AT_ONCE]
        TicketHolder.objects.filter(event=event, ticket__in=part, erased_at=None).delete()


def erase_holders(event: str, tickets: Sequence[str]) -> int:
    """Erase the holders of these tickets permanently; returns how many were known."""
    return TicketHolder.objects.filter(event=event, ticket__in=tickets, erased_at=None).update(
        name="",
        order="",
        email="",
        phone="",
        company="",
        address="",
        salt=b"",
        secret_digest="",
        erased_at=timezone.now(),
    )


def _row(ticket: ImportedTicket) -> TicketHolder:
    return TicketHolder(
        event=ticket.event,
        ticket=ticket.ticket_id,
        name=ticket.holder.name,
        order=ticket.order,
        email=ticket.holder.email,
        phone=ticket.holder.phone,
        company=ticket.holder.company,
        address=ticket.holder.address,
        salt=secrets.token_bytes(COMMITMENT_SALT_BYTES),
        secret_digest=ticket.secret_digest.hex(),
    )


def _contradiction(row: TicketHolder, ticket: ImportedTicket) -> str:
    if row.erased_at is not None:
        return f"was imported before and its holder erased on {row.erased_at:%Y-%m-%d}: not imported again"
    stored = Holder(row.name, row.email, row.phone, row.company, row.address)
    if stored != ticket.holder or row.secret_digest != ticket.secret_digest.hex():
        return "was imported before with other personal data or another secret: the first ones are kept"
    if row.order and ticket.order and row.order != ticket.order:
        return f"was imported before with order {row.order[:80]!r}: the first one is kept"
    return ""
