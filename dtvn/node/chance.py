"""Real randomness (ports.Chance)."""

from __future__ import annotations

import secrets

__all__ = ["SystemChance"]


class SystemChance:
    """The operating system's generator: an attacker must not be able to predict how load is spread."""

    def below(self, bound: int) -> int:
        """A number in [0, bound)."""
        return secrets.randbelow(bound)
