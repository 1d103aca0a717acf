"""Rounds of exchanges between this node and its peers, as gossip has them (contract 5.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

ROUNDS = 3
"""Newest rounds that count."""


class Rounds:
    """The outcomes of the newest rounds."""

    def __init__(self) -> None:
        self._rounds: deque[dict[str, bool]] = deque(maxlen=ROUNDS)

    def add(self, exchanges: Mapping[str, bool]) -> None:
        """Note a round: peer -> whether the exchange with it has succeeded. Peers that were not chosen in it
        are not in it."""
        self._rounds.append(dict(exchanges))

    def clear(self) -> None:
        """Forget all rounds."""
        self._rounds.clear()

    def failed(self) -> list[str]:
        """Peers with which there was an exchange in the newest rounds, and none succeeded; nobody before
        there were enough rounds."""
        if len(self._rounds) < ROUNDS:
            return []
        tried = {name: False for each in self._rounds for name in each}
        for each in self._rounds:
            for name, succeeded in each.items():
                tried[name] |= succeeded
        return [name for name, succeeded in tried.items() if not succeeded]
