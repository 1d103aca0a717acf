"""Stores the holders of a file's tickets, has the tickets issued event by event, and keeps both in step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tickets.importing.columns import ImportedTicket
from tickets.importing.holders import forget_holders, remember_holders
from tickets.importing.sending import Delivery
from tickets.importing.tickets import by_event


class Part(NamedTuple):
    """The tickets of one event that do not contradict earlier imports."""

    event: str
    tickets: Sequence[ImportedTicket]
    commitments: Mapping[str, bytes]
    """Ticket ID -> commitment to its holder."""
    fresh: set[str]
    """Tickets whose holders were not stored before."""


def store_holders(tickets: Sequence[ImportedTicket], delivery: Delivery) -> list[Part]:
    """Store all holders, before any ticket is sent; rows that contradict stored ones go to `delivery`. Raises
    DatabaseError."""
    parts = []
    for event, listed in by_event(tickets).items():
        kept = remember_holders(listed)
        refused = {wrong.row for wrong in kept.contradictions}
        accepted = [ticket for ticket in listed if ticket.row not in refused]
        parts.append(Part(event, accepted, kept.commitments, kept.fresh))
        delivery.wrong += kept.contradictions
    return parts


def deliver(parts: Sequence[Part], send: Callable[[Part, Delivery], None], delivery: Delivery) -> None:
    """Have `send` issue each part; holders of finally refused tickets, if they are new, are deleted.
    `delivery` gets all outcomes, even if `send` raises."""
    for part in parts:
        own = Delivery()
        try:
            send(part, own)
        finally:
            delivery.add(own)
            forget_holders(part.event, part.fresh & own.refused)
