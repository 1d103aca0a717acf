"""Stores holders and codes of tickets, has these issued part by part, and keeps both in step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tickets.importing.completing import Order, complete
from tickets.importing.delivery import Delivery
from tickets.importing.holders import forget_holders, remember_holders
from tickets.importing.imported import ImportedTicket
from tickets.importing.ordering import Ordering, Part
from tickets.importing.plan import by_event
from tickets.importing.until_final import BATCH_SIZE
from tickets.services import codes
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger.read import event_row


class Delivering:
    """Delivers the tickets of a file. `source`: ImportPlan.key, kept with the codes. `patience`: seconds
    without any answer after which it ends. `told(n)`: whenever n more tickets are decided. `delivered`: gets
    those that are in the network as the file says, part by part."""

    def __init__(
        self,
        order: Order,
        *,
        source: str,
        patience: float,
        told: Callable[[int], None],
        delivered: Callable[[Sequence[ImportedTicket]], None],
    ) -> None:
        self._order, self._source, self._patience, self._delivered = order, source, patience, delivered
        self._ordering = Ordering(order, patience=patience, told=told)

    def deliver(
        self, tickets: Sequence[ImportedTicket], delivery: Delivery, *, size: int = BATCH_SIZE
    ) -> None:
        """Have the tickets issued, and those entered whose guests are inside, at most `size` of one event at
        a time.

        Holders and codes of a part are stored just before it is sent, and deleted, if they are new, for the
        tickets that are surely not in the network. `delivery` gets all outcomes, even if this raises. Raises
        DatabaseError, NetworkSilent and Refused.
        """
        for event, listed in by_event(tickets).items():
            salt = codes.salt_of(event, event_row(LEARNER_ALIAS, event))
            for start in range(0, len(listed), size):
                self._part(event, salt, listed[start : start + size], delivery)

    def _part(self, event: str, salt: bytes, tickets: Sequence[ImportedTicket], delivery: Delivery) -> None:
        kept, own = remember_holders(tickets), Delivery()
        erased = {wrong.row for wrong in kept.erased}
        delivery.wrong += kept.erased
        accepted = [ticket for ticket in tickets if ticket.row not in erased]
        texts = ((ticket.ticket_id, (*ticket.codes, *ticket.revoked)) for ticket in accepted)
        codes.remember_codes(event, texts, source=self._source)
        try:
            self._ordering.send(Part(event, accepted, kept.commitments, salt), own)
            refused = {wrong.row for wrong in own.wrong}
            present = [ticket for ticket in accepted if ticket.row not in refused]
            complete(present, own, order=self._order, patience=self._patience)
            refused = {wrong.row for wrong in own.wrong}
            self._delivered([ticket for ticket in present if ticket.row not in refused])
        finally:
            delivery.add(own)
            forget_holders(event, kept.fresh - own.possible)
            codes.forget_codes(event, {ticket.ticket_id for ticket in accepted} - own.possible)
