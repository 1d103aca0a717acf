"""The collector's session: an ordered operation opens it, and it is left when it is idle or evicted. Pure.

A session may be evicted while it is idle (R12: the least recently executed one goes). A bundle refused with
`unknown_session` may have executed before the eviction, so using a stale session would cost callers
their answers: one that was idle for `SESSION_REST` is replaced before use.
"""

from __future__ import annotations

import msgspec

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.sessions import WINDOW

SECOND = 1_000_000_000

SESSION_REST = 30 * SECOND
OPENING_WAIT = 5 * SECOND
"""Time for which the opening of a session is waited for, which decides how long it is valid (R14)."""

REOPEN_AFTER = 1 * SECOND
"""Time between two attempts to open a session."""

_MASK_64 = (1 << 64) - 1


class Session(msgspec.Struct):
    """An open session; `key` is (sequence, index) of the operation that opened it."""

    key: tuple[int, int]
    used_at: int
    """Monotonic time of its newest executed bundle."""
    next_number: int = 0
    pending: dict[int, None] = {}
    """Numbers in flight, ascending."""

    @property
    def full(self) -> bool:
        """Whether the next number would lie outside the window that members keep (R12): one bundle that
        stays unanswered must not hold up all later ones."""
        oldest = next(iter(self.pending), self.next_number)
        return self.next_number >= oldest + WINDOW

    def take_number(self) -> tuple[int, int]:
        """(number, done_below) of the next bundle: lower numbers than the lowest in flight are done."""
        number = self.next_number
        self.next_number += 1
        self.pending[number] = None
        return number, next(iter(self.pending))


class Sessions:
    """At most one session is current, and at most one bundle in flight opens another."""

    def __init__(self, principal: str, client: bytes) -> None:
        self._principal = principal
        self._client = client
        self._current: Session | None = None
        self._opening: bytes | None = None
        """Request digest of the bundle that opens a session."""
        self._not_before = 0
        self._attempts = 0
        self._misdated = False

    def usable(self, now: Now) -> Session | None:
        """The session to use now; None while no session is usable."""
        session = self._current
        if session is not None:
            rested = not session.pending and now.monotonic - session.used_at >= SESSION_REST
            if not rested and not session.full:
                return session
        self._current = None
        return None

    def to_open(self, now: Now) -> m.Operation | None:
        """The operation, not dated yet, that opens the next session, if due; its bundle's digest must go to
        `opening`."""
        if self._opening is not None or now.monotonic < self._not_before:
            return None
        self._attempts += 1
        self._not_before = now.monotonic + REOPEN_AFTER
        attempt = self._attempts.to_bytes(4, "big") + (now.wall & _MASK_64).to_bytes(8, "big")
        return m.Operation(
            kind="open_session",
            event="",
            ticket="",
            actor=self._principal,
            entry="",
            valid_until=0,
            nonce=self._client + attempt,
        )

    def opening(self, request: bytes) -> None:
        """Note the digest of the bundle that opens the next session."""
        self._opening = request

    def opened(self, request: bytes, key: tuple[int, int], now: Now) -> None:
        """Note that a bundle executed at `key`; if it opens a session, that becomes the current one."""
        if request == self._opening:
            self._current = Session(key, now.monotonic)
            self._misdated = False

    def misdated(self, request: bytes) -> None:
        """Note that a bundle was refused for its date. If it opens a session, the next attempt is due at
        once, since log time is known now; but only once."""
        if request == self._opening and not self._misdated:
            self._misdated, self._not_before = True, 0

    def executed(self, key: tuple[int, int], now: Now) -> None:
        """Note that a bundle of a session was executed."""
        if self._current is not None and self._current.key == key:
            self._current.used_at = now.monotonic

    def ended(self, request: bytes, key: tuple[int, int], number: int) -> None:
        """Release the number of a bundle that needs no further answer, with any outcome."""
        if self._current is not None and self._current.key == key:
            self._current.pending.pop(number, None)
        if request == self._opening:
            self._opening = None

    def leave(self, key: tuple[int, int]) -> None:
        """Abandon a session that the cluster does not know: the next bundle opens another."""
        if self._current is not None and self._current.key == key:
            self._current = None

    def deadline(self) -> int | None:
        """Monotonic nanoseconds at which `to_open` returns an operation; None while a session is open or
        being opened."""
        return None if self._current is not None or self._opening is not None else self._not_before
