"""Cries that the primary must go, all the time and to everybody (row 13): SUSPECT and VIEW-CHANGE."""

from __future__ import annotations

from simulator.adversary.base import Liar, Words
from simulator.node import Node
from validators.consensus import messages as m

__all__ = ["Alarmist"]


class Alarmist(Liar):
    """With each Status a suspicion of the view it says it is in, and every tenth time a VIEW-CHANGE."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._said = 0

    def utter(self, node: Node, receiver: str, frame: bytes) -> Words:
        """See Liar."""
        words = [(receiver, frame)]
        message = self.mine(frame)
        if isinstance(message, m.Status):
            self._said += 1
            view = message.view + 1
            alarm = m.Suspect(message.epoch, self.index, view, "silent_primary")
            words.append((receiver, self.signer.sign(alarm)))
            if self._said % 10 == 0:
                words.append(
                    (receiver, self.signer.sign(m.ViewChange(message.epoch, self.index, view, (), ())))
                )
        return words
