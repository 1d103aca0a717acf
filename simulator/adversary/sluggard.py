"""As primary, sends each proposal just before the others lose patience (row 21; Aardvark, RBFT, Prime)."""

from __future__ import annotations

from simulator.adversary.base import Liar, Words
from simulator.network import kind_of_frame
from simulator.node import Node
from validators.consensus import messages as m

__all__ = ["Sluggard"]

SHARE_OF_TIMEOUT = 0.85
MICROSECOND = 1_000


class Sluggard(Liar):
    """Does everything right, late: heartbeats come in time, work does not."""

    slow = True

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        timeout = self.world.settings.parameters.view_timeout * MICROSECOND
        self._delay = int(timeout * SHARE_OF_TIMEOUT)

    def utter(self, node: Node, receiver: str, frame: bytes) -> Words:
        """See Liar."""
        if kind_of_frame(frame) is not m.PrePrepare or self.mine(frame) is None:
            return ((receiver, frame),)
        later = self.world.time + self._delay
        self.world.at(later, self.world.transmit, node.name, receiver, frame, later)
        return ()
