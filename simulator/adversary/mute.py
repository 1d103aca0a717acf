"""Withholds some kinds of messages, or all messages to some members: a half-dead node (P13, P14)."""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.clock import SECOND
from simulator.network import kind_of_frame
from simulator.node import Node


class Mute(Liar):
    """Every few seconds it changes what it withholds, and from whom."""

    def begin(self) -> None:
        """See Liar."""
        self._until = 0
        self._kinds: list[type[object]] = []
        self._deprived: list[str] = []

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if self.world.time >= self._until:
            self._until = self.world.time + self.dice.between(1, 5) * SECOND
            kinds = sorted(m.STATEMENTS, key=lambda kind: kind.__name__)
            self._kinds = self.dice.sample(kinds, self.dice.below(4))
            everybody = [*self.others(), *self.world.endpoints]
            self._deprived = self.dice.sample(everybody, self.dice.below(len(everybody) + 1))
        if receiver in self._deprived or kind_of_frame(frame) in self._kinds:
            return ()
        return ((receiver, frame),)
