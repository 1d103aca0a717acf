"""How many statements that nobody wants a node looks at, of each peer (PITFALLS row 15).

What is not wanted costs no signature (decision 0155), but it is decoded before that is known. An honest
member sends some of it too: several remind a peer of the same votes.
"""

from __future__ import annotations

__all__ = ["BURST", "PER_SECOND", "Patience"]

PER_SECOND = 4_096
"""Forgotten in a second: two full SupplyFrames in most of the rounds in which a member may send them."""
BURST = 8_192
"""At once."""
SECOND = 1_000_000_000


class Patience:
    """A leaky bucket by peer name; only members get so far, so there are few."""

    def __init__(self) -> None:
        self._worn: dict[str, tuple[int, int]] = {}
        """(statements not forgotten yet, when that was so)."""

    def lasts(self, name: str, now: int) -> bool:
        """Whether more of this peer is looked at now (monotonic nanoseconds)."""
        return self._level(name, now) < BURST

    def wear(self, name: str, statements: int, now: int) -> None:
        """So many were not wanted."""
        self._worn[name] = (self._level(name, now) + statements, now)

    def _level(self, name: str, now: int) -> int:
        level, since = self._worn.get(name, (0, now))
        return max(0, level - (now - since) * PER_SECOND // SECOND)
