"""Two correct nodes with one key and two disks (Twins, OPODIS 2021): equivocation without special code.

Which of the other members each twin can reach changes at random, so both get their share of the votes.
"""

from __future__ import annotations

from simulator.adversary.base import Liar, OutgoingFrames
from simulator.clock import SECOND
from simulator.dice import Dice
from simulator.node import Node


class Split:
    """Shared by both twins: decides which member hears which twin."""

    def __init__(self, dice: Dice, others: list[str]) -> None:
        self._dice = dice
        self._others = others
        self._until = -1
        self._first: set[str] = set()

    def hears(self, name: str, twin: str, time: int) -> bool:
        """True if `name` hears this twin at `time`. Clients and learners hear both."""
        if time >= self._until:
            self._until = time + self._dice.between(1, 4) * SECOND
            self._first = set(self._dice.sample(self._others, self._dice.below(len(self._others) + 1)))
        if name not in self._others:
            return True
        return (name in self._first) is not twin.endswith("~twin")


class Twin(Liar):
    """Each of the two reports the truth as it knows it, to its half of the world."""

    def __init__(self, *arguments: object, split: Split) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._split = split

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if self._split.hears(receiver, node.name, self.world.time):
            return ((receiver, frame),)
        return ()
