"""Repeats old frames, its own and those of others, and sends everything twice (rows 3, 9, 10, 11)."""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import Liar, Words
from simulator.network import kind_of_frame
from simulator.node import Node
from simulator.onlooker import Onlooker

__all__ = ["Replayer"]

REMEMBERED = 300
SHARE = 0.3


class Replayer(Liar):
    """An onlooker of the world (`_Ear`) records the frames that arrive at its node."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._heard: list[bytes] = []
        self.world.audience.add(_Ear(self))

    def hear(self, frame: bytes) -> None:
        """Keep a frame of another member or a client."""
        if len(self._heard) < REMEMBERED:
            self._heard.append(frame)
        else:
            self._heard[self.dice.below(REMEMBERED)] = frame

    def utter(self, node: Node, receiver: str, frame: bytes) -> Words:
        """See Liar."""
        words = [(receiver, frame)]
        if kind_of_frame(frame) in m.STATEMENTS:
            words.append((receiver, frame))
        if self._heard and self.dice.hit(SHARE):
            words.append((self.dice.pick(self.others()), self.dice.pick(self._heard)))
        return words


class _Ear(Onlooker):
    """Records what arrives at the liar's node."""

    def __init__(self, replayer: Replayer) -> None:
        self._replayer = replayer

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Onlooker."""
        if receiver == self._replayer.node.name:
            self._replayer.hear(frame)
