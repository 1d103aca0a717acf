"""Errors that REST answers: a stable code, its HTTP status, a message, and further headers.

ServiceError
├── ApiError             of a route
└── TicketError          of an operation that was not executed
    ├── InvalidRequest   malformed, refused before anything was sent (400)
    ├── Refused          ordered and refused: a final outcome, at `sequence` of the log
    ├── Unavailable      nothing was sent, so it did not happen (503)
    └── OutcomeUnknown   sent, outcome not known yet; repeat with the same nonce (504)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dtvn.machine import reasons

SEQUENCE_HEADER = "X-DTVN-Sequence"


class ServiceError(Exception):
    """A request that was not executed; `code` never changes, the message may."""

    code = "refused"
    status = 409
    """HTTP status."""

    def __init__(
        self, sentence: str, *, code: str = "", status: int = 0, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.code = code or self.code
        self.status = status or self.status
        self.headers = dict(headers or {})
        self.more: dict[str, Any] = {}
        """Further members of the answer (dtvn.api.outcome)."""
        if self.status in (503, 504):
            self.headers["Retry-After"] = "1"  # both conditions are temporary


class ApiError(ServiceError):
    """An error of a route. `bare`: answered without the envelope, as by a supervisor that reached no node."""

    def __init__(
        self,
        status: int,
        code: str,
        sentence: str,
        *,
        headers: Mapping[str, str] | None = None,
        bare: bool = False,
    ) -> None:
        super().__init__(sentence, code=code, status=status, headers=headers)
        self.bare = bare


class TicketError(ServiceError):
    """An operation that was not executed. `sentence` and HTTP `status`: by default those of the code in
    dtvn.machine.reasons. `sequence`: that of the refusal in the log, 0 without one."""

    def __init__(self, code: str, sentence: str = "", *, sequence: int = 0, status: int = 0) -> None:
        super().__init__(
            sentence or reasons.REASONS[code].sentence,
            code=code,
            status=status or reasons.REASONS[code].status,
            headers={SEQUENCE_HEADER: str(sequence)} if sequence else None,
        )
        self.sequence = sequence


class InvalidRequest(TicketError):
    """The request is malformed; the message names field and rule."""

    def __init__(self, sentence: str, code: str = reasons.BAD_REQUEST) -> None:
        super().__init__(code, sentence)


class Refused(TicketError):
    """The operation was ordered and refused; this outcome is final."""


class Unavailable(TicketError):
    """The request failed before anything was sent; trying again is safe."""

    def __init__(self, sentence: str = "", code: str = reasons.UNAVAILABLE) -> None:
        super().__init__(code, sentence, status=503)


class OutcomeUnknown(TicketError):
    """The operation may or may not have been executed (R14)."""

    def __init__(self) -> None:
        super().__init__(reasons.OUTCOME_UNKNOWN)


def not_found(headers: Mapping[str, str] | None = None) -> ApiError:
    """The error (404) for an unknown ticket."""
    reason = reasons.REASONS[reasons.TICKET_NOT_FOUND]
    return ApiError(reason.status, reason.code, reason.sentence, headers=headers)
