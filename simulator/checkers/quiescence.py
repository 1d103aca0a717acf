"""Does every node become idle? A deadline always in the past would keep a processor busy. (R30, R31)"""

from __future__ import annotations

from simulator.checkers.base import Checker
from simulator.clock import SECOND
from simulator.node import Node
from simulator.world import World

TURNS_MAX = 20_000
"""Most turns of one node in one virtual second; the busiest world needs a tenth of it."""


class Quiescence(Checker):
    """Counts turns second by second."""

    name = "quiescence"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._second = 0
        self._turns: dict[str, int] = {}

    def turning(self, node: Node) -> None:
        """See Checker."""
        second = self.world.clock.time // SECOND
        if second != self._second:
            self._second = second
            self._turns.clear()
        turns = self._turns[node.name] = self._turns.get(node.name, 0) + 1
        if turns > TURNS_MAX and node.honest:
            self.fail(f"{node.name} takes {turns} turns in a second, {len(node.inbox)} frames wait")
