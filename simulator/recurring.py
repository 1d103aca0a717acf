"""Recurring events of a world, at random moments: calls, faults, reads, lies of a client."""

from __future__ import annotations

from simulator.dice import Dice
from simulator.world import World


class Recurring:
    """Calls `happen` at random moments until it is stopped."""

    def __init__(self, world: World, dice: Dice, pause_max: int) -> None:
        """`pause_max`: longest time between two of them, in nanoseconds; drawn from `dice`."""
        self.world = world
        self._moments = dice
        self._pause_max = pause_max
        self._running = False

    def start(self) -> None:
        """The first one comes after a pause."""
        self._running = True
        self._next()

    def stop(self) -> None:
        """Stop recurring; an action under way continues."""
        self._running = False

    def happen(self) -> None:
        """Perform the action, at each of these moments."""
        raise NotImplementedError

    def _next(self) -> None:
        self.world.after(1 + self._moments.below(self._pause_max), self._occur)

    def _occur(self) -> None:
        if self._running:
            self.happen()
            self._next()
