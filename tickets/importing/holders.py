"""Keeps personal data out of the log: an erasable row here, a salted commitment in the log.

commitment = H("dtvn/v1/holder", salt, canonical bytes of Holder), with 32 random bytes of salt per ticket:
without the salt a guess cannot be tested against the log, and erasing destroys the salt.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from django.utils import timezone

from dtvn.protocol import canonical
from tickets.importing.changes import PERSON, Change
from tickets.importing.imported import Holder, ImportedTicket, WrongRow
from tickets.models import COMMITMENT_SALT_BYTES, TicketHolder

ROWS_AT_ONCE = 500
"""Tickets per query; SQLite takes at most 32,766 parameters, and a row has 13."""
STORED = (*PERSON, "source")
"""What a file says of a holder, and which file it is that names the order."""

T = TypeVar("T")


def commitment(holder: Holder, salt: bytes) -> bytes:
    """Commitment to a holder: 32 bytes, which reveal nothing without the salt."""
    return canonical.tagged_digest("dtvn/v1/holder", salt, canonical.encode(holder))


class Kept(NamedTuple):
    """Result of storing the holders of one event's tickets."""

    commitments: dict[str, bytes]
    """Ticket ID -> commitment to its holder."""
    erased: list[WrongRow]
    """Rows of tickets whose holders were erased: these are not imported again."""
    fresh: set[str]
    """Tickets whose holders were not stored before."""


def remember_holders(tickets: Sequence[ImportedTicket], *, source: str = "") -> Kept:
    """Store the holders of tickets of one event. `source`: ImportPlan.key of the file that names them.

    They are stored before the tickets are sent, so no ticket is ever without its holder. A repeated import
    reuses the stored salt, so it sends the same bytes (R13); what the file says now replaces what was stored
    for a ticket that came to nothing. An order's number is not committed to.
    """
    kept = Kept({}, [], set())
    for part in in_parts([one for one in tickets if one.holder or one.order]):
        made = {ticket.ticket_id: _row(ticket, source) for ticket in part}
        TicketHolder.objects.bulk_create(made.values(), ignore_conflicts=True)
        rows = _stored(part)
        others = []
        for ticket in part:
            row, wanted = rows[ticket.ticket_id], made[ticket.ticket_id]
            if row.erased_at is not None:
                why = f"was imported before and its holder erased on {row.erased_at:%Y-%m-%d}"
                kept.erased.append(WrongRow(ticket.row, f"{ticket.ticket_id} {why}: not imported again"))
                continue
            if ticket.holder:
                kept.commitments[ticket.ticket_id] = commitment(ticket.holder, bytes(row.salt))
            if bytes(row.salt) == wanted.salt:
                kept.fresh.add(ticket.ticket_id)
            elif any(getattr(row, field) != getattr(wanted, field) for field in STORED):
                for field in STORED:
                    setattr(row, field, getattr(wanted, field))
                others.append(row)
        TicketHolder.objects.bulk_update(others, STORED)
    return kept


def change_holders(event: str, changes: Sequence[Change], *, source: str = "") -> None:
    """Write the other holders that a file of this `source` names for tickets of one event in the network.
    Those that were erased stay so. The log keeps the commitment to the first holder, and the row the salt of
    it."""
    named = {one.ticket_id: one.fields for one in changes if one.kind == "holder"}
    for names in in_parts(list(named)):
        fresh = [
            TicketHolder(event=event, ticket=name, salt=secrets.token_bytes(COMMITMENT_SALT_BYTES))
            for name in names
        ]
        TicketHolder.objects.bulk_create(fresh, ignore_conflicts=True)
        rows = list(TicketHolder.objects.filter(event=event, ticket__in=names, erased_at=None))
        for row in rows:
            for field in named[row.ticket]:
                setattr(row, field.field, field.new)
                if field.field == "order":
                    row.source = source if field.new else ""
        TicketHolder.objects.bulk_update(rows, STORED)


def in_parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items, ROWS_AT_ONCE at a time."""
    for start in range(0, len(items), ROWS_AT_ONCE):
        yield items[start : start + ROWS_AT_ONCE]


def _stored(part: Sequence[ImportedTicket]) -> dict[str, TicketHolder]:
    names = [ticket.ticket_id for ticket in part]
    return {row.ticket: row for row in TicketHolder.objects.filter(event=part[0].event, ticket__in=names)}


def forget_holders(event: str, tickets: Iterable[str]) -> None:
    """Delete the stored holders of tickets that were not issued."""
    for part in in_parts(sorted(tickets)):
        TicketHolder.objects.filter(event=event, ticket__in=part, erased_at=None).delete()


def erase_holders(event: str, tickets: Sequence[str]) -> int:
    """Erase the holders of these tickets permanently; returns how many were known."""
    return TicketHolder.objects.filter(event=event, ticket__in=tickets, erased_at=None).update(
        name="",
        order="",
        source="",
        email="",
        phone="",
        company="",
        address="",
        salt=b"",
        erased_at=timezone.now(),
    )


def _row(ticket: ImportedTicket, source: str) -> TicketHolder:
    return TicketHolder(
        event=ticket.event,
        ticket=ticket.ticket_id,
        name=ticket.holder.name,
        order=ticket.order,
        source=source if ticket.order else "",
        email=ticket.holder.email,
        phone=ticket.holder.phone,
        company=ticket.holder.company,
        address=ticket.holder.address,
        salt=secrets.token_bytes(COMMITMENT_SALT_BYTES),
    )
