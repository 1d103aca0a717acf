"""Clients that take, extend and give back a few locks, in each other's way."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.machine import Acquire, Command, Release, build
from simulator.clock import MILLISECOND, SECOND
from simulator.dice import Dice
from simulator.gateway import Gateway
from simulator.recurring import Recurring
from simulator.world import World

PAUSE_MAX = 60 * MILLISECOND
LEASE_MAX = 600_000
"""Longest lease in microseconds."""
NAMES = ("leader", "sequence:t")
HOLDERS = (b"a", b"b")


class LockRaces(Recurring):
    """Calls of all gateways about the same locks."""

    def __init__(self, world: World, gateways: Sequence[Gateway], dice: Dice) -> None:
        super().__init__(world, dice.fork("when"), PAUSE_MAX)
        self._gateways = gateways
        self._dice = dice

    def happen(self) -> None:
        """One call."""
        dice = self._dice
        gateway, name, holder = dice.pick(self._gateways), dice.pick(NAMES), dice.pick(HOLDERS)
        command: Command = Release(name, holder)
        if dice.hit(0.7):
            command = Acquire(name, holder, 1 + dice.below(LEASE_MAX))
        until = (gateway.clock.now().wall + 20 * SECOND) // 1_000
        entry = dice.pick(self.world.member_names)
        gateway.ask([build(command, event="agents", actor="locks", entry=entry, valid_until=until)])
