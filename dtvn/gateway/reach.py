"""The members that a collector is connected to, and whether they can order anything. Pure."""

from __future__ import annotations

from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode

QUORUM_GRACE = 3_000_000_000
"""Nanoseconds that a call waits for a quorum of connections before it is refused with nothing sent."""


class Reach:
    """Times are monotonic nanoseconds. At first no member is connected."""

    def __init__(self, members: int, mode: Mode) -> None:
        self._quorum = quorum.quorum(members, mode)
        self.connected: frozenset[int] = frozenset()
        self._lost_at: int | None = None

    def change(self, members: frozenset[int], now: int) -> tuple[frozenset[int], frozenset[int]]:
        """Note which members are connected now; return those that are not any more, and those that are
        again."""
        lost, found = self.connected - members, members - self.connected
        self.connected = members
        if self.has_quorum:
            self._lost_at = None
        elif self._lost_at is None:
            self._lost_at = now
        return lost, found

    @property
    def has_quorum(self) -> bool:
        """Whether a quorum is connected."""
        return len(self.connected) >= self._quorum

    def due(self) -> int | None:
        """When `lacks` becomes true; None while a quorum is connected, and before anything was noted."""
        return None if self._lost_at is None else self._lost_at + QUORUM_GRACE

    def lacks(self, now: int) -> bool:
        """Whether no quorum has been connected for a while."""
        if self.has_quorum:
            return False
        if self._lost_at is None:
            self._lost_at = now  # no quorum has been connected so far
        return now - self._lost_at >= QUORUM_GRACE
