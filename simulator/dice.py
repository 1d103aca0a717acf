"""Seeded chance: the only source of randomness in the world (SplitMix64; Steele, Lea & Flood 2014).

Python's own generator is not used: its module reads from the operating system, and the numbers here must
never change, or kept seeds would lose their meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

Item = TypeVar("Item")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


class Dice:
    """A stream of numbers from one seed; `fork` gives streams that do not disturb each other."""

    def __init__(self, seed: int | str) -> None:
        self._seed = str(seed)
        self._state = int.from_bytes(sha256(self._seed.encode()).digest()[:8], "big")

    def fork(self, label: str) -> Dice:
        """A separate stream: what one consumer draws does not shift what another one gets."""
        return Dice(f"{self._seed}/{label}")

    def word(self) -> int:
        """64 random bits."""
        self._state = (self._state + _GOLDEN) & _MASK
        word = self._state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
        return word ^ (word >> 31)

    def below(self, bound: int) -> int:
        """A number in [0, bound); the bias is below bound / 2^64."""
        return (self.word() * bound) >> 64

    def between(self, low: int, high: int) -> int:
        """A number in [low, high], both ends included."""
        return low + ((self.word() * (high - low + 1)) >> 64)

    def spread(self, low: int, high: int) -> int:
        """A number in [low, high], low at least 1: each power of two as likely as any other."""
        bits = self.between(low.bit_length(), high.bit_length())
        return self.between(max(low, 1 << (bits - 1)), min(high, (1 << bits) - 1))

    def hit(self, probability: float) -> bool:
        """True with this probability; 0 and 1 are certain and draw no number."""
        if probability <= 0:
            return False
        return probability >= 1 or self.word() < probability * 2.0**64

    def pick(self, items: Sequence[Item]) -> Item:
        """One of `items`."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """`count` different ones of `items`, in random order."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in range(min(count, len(rest)))]

    def bytes(self, count: int) -> bytes:
        """`count` random bytes."""
        return b"".join(self.word().to_bytes(8, "big") for _ in range((count + 7) // 8))[:count]
