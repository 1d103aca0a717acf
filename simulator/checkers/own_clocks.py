"""Does a member follow a step of its machine's clock only where f + 1 other clocks agree? (R3)"""

from __future__ import annotations

from collections import deque

from dtvn.protocol import quorum
from simulator.checkers.base import Checker
from simulator.clock import SECOND
from simulator.node import Node
from simulator.world import World

LATELY = 65 * SECOND
"""The minute within which clocks were read, and what a message may wait."""


class OwnClocks(Checker):
    """Knows when the clock of each machine was set, and sees each step of the time that a member goes by."""

    name = "own-clocks"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._ahead: dict[str, int] = {}
        """Node -> by how much the time that it goes by was ahead of the true time."""
        self._machines: dict[str, deque[tuple[int, int]]] = {}
        """Node -> (world time, by how much its machine's clock was ahead then), one for each step."""
        self._drift = 1_000 * world.settings.parameters.drift_bound

    def stopped(self, node: Node) -> None:
        """See Observer: its next process begins with the machine's clock."""
        self._ahead.pop(node.name, None)

    def turning(self, node: Node) -> None:
        """See Observer."""
        if node.index is None or not node.honest or node.host is None:
            return
        for each in self.world.nodes.values():
            ahead = each.clock.now().wall - self.world.time
            steps = self._machines.setdefault(each.name, deque(maxlen=64))
            if not steps or abs(steps[-1][1] - ahead) > self._drift:
                steps.append((self.world.time, ahead))
        now = node.goes_by().wall - self.world.time
        before = self._ahead.get(node.name, now)
        self._ahead[node.name] = now
        if abs(now - before) > self._drift:
            self._may_step(node, before, now)

    def _may_step(self, node: Node, before: int, now: int) -> None:
        members, mode = self.world.members, self.world.mode
        nearer = sum(
            any(abs(ahead - now) < abs(ahead - before) for ahead in self._lately(each.name))
            for each in self.world.nodes.values()
            if each.index is not None and each.name != node.name
        )
        if members > 1 and nearer < quorum.faults(members, mode) + 1:
            self.fail(f"{node.name} follows a step of its clock by {now - before} ns; {nearer} others agree")

    def _lately(self, name: str) -> list[int]:
        steps = list(self._machines[name])
        ends = [at for at, _ in steps[1:]] + [self.world.time]
        return [ahead for (_, ahead), end in zip(steps, ends, strict=True) if end >= self.world.time - LATELY]
