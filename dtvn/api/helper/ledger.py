"""Reads a node's ledger for that node's API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from dtvn.api.reads import TicketLedger
from dtvn.ledger import Location
from dtvn.machine.contract import Listed
from dtvn.protocol.genesis import Principal

BEYOND = 1 << 31
"""Greater than every index in a batch."""

Position = tuple[tuple[int, int], int]
"""(sequence, index) of the last operation that was sent, and the number of tickets at that time."""


class Holdings(msgspec.Struct, frozen=True):
    """Counts of a ledger's tickets and operations, and its newest checkpoint."""

    states: dict[str, int]
    """Tickets by name of State, upheld apart from disputed."""
    operations: int
    """Length of the default list of operations."""
    checkpoint: tuple[int, bytes, int] | None
    """The newest stable checkpoint: sequence, state digest, Unix microseconds."""


class Changes(msgspec.Struct, frozen=True):
    """The operations applied since a position."""

    listed: list[Listed]
    created: dict[str, int]
    """Number of new tickets by event."""
    position: Position
    """Position of the newest operation."""


class HelperLedger(TicketLedger, Protocol):
    """A node's ledger, read-only, from any thread. Every method raises ApiError (503) when its database
    fails."""

    def applied_sequence(self) -> int:
        """The sequence that the rows reflect."""

    def holdings(self, counted: dict[str, int]) -> Holdings:
        """One consistent read. `counted`: such `states` a second ago, taken if counting would take long;
        {}: unknown."""

    def storage_stats(self) -> dict[str, int]:
        """Figures under the contract's keys."""

    def event_zone(self, event: str) -> str:
        """The name of an event's time zone; "" for none."""

    def principals(self) -> list[Principal]:
        """Principals that the log added or changed since genesis."""

    def epoch_changes(self) -> list[bytes]:
        """The encoded epoch change proofs of ended epochs, in order."""

    def position(self) -> Position:
        """The present position."""

    def since(self, position: Position) -> Changes | None:
        """Applied operations after a position; None if there are too many, after a state transfer, say."""


class OpenReader(Protocol):
    """Opens a node's ledger for reading (`validators.node_api.open_reader`)."""

    def __call__(self, place: Location, founders: Sequence[str]) -> HelperLedger:
        """`founders`: ids of the members in genesis. Once a process."""
