"""Results of an import, and the steps by which a ticket comes to have its codes."""

from __future__ import annotations

import msgspec

from dtvn.machine.codes import VALID_MAX
from tickets.importing.imported import ImportedTicket, WrongRow


class Delivery(msgspec.Struct):
    """Results of the tickets of one import."""

    issued: int = 0
    existed: int = 0
    """Tickets issued before, by an earlier import or another caller: left unchanged."""
    entered: int = 0
    """Guests who entered elsewhere and whose tickets have entered here."""
    wrong: list[WrongRow] = []
    sequence: int = 0
    """The highest at which one of them was decided, as far as it was told."""
    possible: set[str] = set()
    """Ids of the tickets that were sent, without those that are surely not in the network: each request for
    them was refused, or not ordered."""

    def add(self, other: Delivery) -> None:
        """Count the results of a further part of the file."""
        self.issued += other.issued
        self.existed += other.existed
        self.entered += other.entered
        self.wrong += other.wrong

    @property
    def present(self) -> int:
        """Number of tickets of the file that are in the network."""
        return self.issued + self.existed


def steps(ticket: ImportedTicket) -> list[tuple[str, ...]]:
    """The codes that a ticket is given, one step after another: those that were replaced, at most VALID_MAX
    at a time, and the valid ones. It is issued with the first."""
    replaced = [
        ticket.revoked[start : start + VALID_MAX] for start in range(0, len(ticket.revoked), VALID_MAX)
    ]
    return [*replaced, ticket.codes]
