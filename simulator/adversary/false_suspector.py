"""Demands a view change all the time from all members (P13): SUSPECT and VIEW-CHANGE."""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.causes import SILENT
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.node import Node


class FalseSuspector(Liar):
    """With each Status it also sends a SUSPECT that asks for the next view, and every tenth time a
    VIEW-CHANGE."""

    def begin(self) -> None:
        """See Liar."""
        self._said = 0

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        words = [(receiver, frame)]
        message = self.mine(frame)
        if isinstance(message, m.Status):
            self._said += 1
            view = message.view + 1
            alarm = m.Suspect(message.epoch, self.index, view, SILENT)
            words.append((receiver, self.signer.sign(alarm)))
            if self._said % 10 == 0:
                words.append(
                    (receiver, self.signer.sign(m.ViewChange(message.epoch, self.index, view, (), ())))
                )
        return words
