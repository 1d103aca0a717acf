"""Stores the holders of a file's tickets, has the tickets issued part by part, and keeps both in step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tickets.importing.holders import forget_holders, remember_holders
from tickets.importing.imported import ImportedTicket
from tickets.importing.plan import by_event
from tickets.importing.sending import Delivery


class Part(NamedTuple):
    """Tickets of one event whose holders are stored, and were not erased."""

    event: str
    tickets: Sequence[ImportedTicket]
    commitments: Mapping[str, bytes]
    """Ticket ID -> commitment to its holder."""


def deliver(
    tickets: Sequence[ImportedTicket],
    send: Callable[[Part, Delivery], None],
    delivery: Delivery,
    *,
    size: int,
) -> None:
    """Have `send` issue the tickets, at most `size` of one event at a time.

    The holders of a part are stored just before it is sent, and deleted, if they are new, for the tickets
    that are surely not in the network: a stored holder refuses other data for its ticket, which would
    otherwise keep out a corrected file. `delivery` gets all outcomes, even if `send` raises. Raises
    DatabaseError.
    """
    for event, listed in by_event(tickets).items():
        for start in range(0, len(listed), size):
            _deliver_part(event, listed[start : start + size], send, delivery)


def _deliver_part(
    event: str,
    tickets: Sequence[ImportedTicket],
    send: Callable[[Part, Delivery], None],
    delivery: Delivery,
) -> None:
    kept, own = remember_holders(tickets), Delivery()
    erased = {wrong.row for wrong in kept.erased}
    delivery.wrong += kept.erased
    accepted = [ticket for ticket in tickets if ticket.row not in erased]
    try:
        send(Part(event, accepted, kept.commitments), own)
    finally:
        delivery.add(own)
        forget_holders(event, kept.fresh - own.possible)
