"""Real randomness (ports.Chance)."""

from __future__ import annotations

import secrets

__all__ = ["SystemChance"]


class SystemChance:
    """The operating system's generator: what spreads load must not be guessed by who wants to bend it."""

    def below(self, bound: int) -> int:
        """A number in [0, bound)."""
        return secrets.randbelow(bound)
