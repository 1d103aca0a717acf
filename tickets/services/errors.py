"""Exceptions of ticket services: a stable code, its HTTP status, and a message.

TicketError
├── InvalidRequest   malformed, refused before anything was sent (400)
├── Refused          an ordered, final outcome: the log says no, and where it says so
├── Unavailable      nothing was sent, so it did not happen (503)
└── OutcomeUnknown   sent, outcome not known yet; repeat with the same nonce (504)
"""

from __future__ import annotations

from dtvn.machine import reasons
from validators.services.errors import ServiceError

__all__ = ["InvalidRequest", "OutcomeUnknown", "Refused", "TicketError", "Unavailable"]


class TicketError(ServiceError):
    """A request that was not executed. `sequence`: the log entry that says so, 0 for none."""

    def __init__(self, code: str, sentence: str = "", *, sequence: int = 0) -> None:
        super().__init__(sentence or reasons.REASONS[code].sentence)
        self.code = code
        self.sequence = sequence

    @property
    def status(self) -> int:
        """HTTP status of the code (spec 1.5)."""
        return reasons.REASONS[self.code].status


class InvalidRequest(TicketError):
    """The request is malformed; the message names field and rule."""

    def __init__(self, sentence: str, code: str = reasons.BAD_REQUEST) -> None:
        super().__init__(code, sentence)


class Refused(TicketError):
    """The cluster refused it, in order."""


class Unavailable(TicketError):
    """Nothing was sent; trying again is safe."""

    def __init__(self, sentence: str = "", code: str = reasons.UNAVAILABLE) -> None:
        super().__init__(code, sentence)


class OutcomeUnknown(TicketError):
    """The operation may or may not have been executed (R14)."""

    def __init__(self) -> None:
        super().__init__(reasons.OUTCOME_UNKNOWN)
