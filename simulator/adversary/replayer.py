"""Repeats old frames, its own and those of others, and sends everything twice (P3, P9, P10, P11)."""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.network import kind_of_frame
from simulator.node import Node
from simulator.observers import Observer

REMEMBERED = 300
SHARE = 0.3


class Replayer(Liar, Observer):
    """Records the frames that arrive at its node."""

    def begin(self) -> None:
        """See Liar."""
        self._heard: list[bytes] = []
        self.world.observers.add(self)

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Observer: keep a frame of another member or a client."""
        if receiver != self.node.name:
            return
        if len(self._heard) < REMEMBERED:
            self._heard.append(frame)
        else:
            self._heard[self.dice.below(REMEMBERED)] = frame

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        words = [(receiver, frame)]
        if kind_of_frame(frame) in m.STATEMENTS:
            words.append((receiver, frame))
        if self._heard and self.dice.hit(SHARE):
            words.append((self.dice.pick(self.others()), self.dice.pick(self._heard)))
        return words
