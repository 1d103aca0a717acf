"""Says each of its votes once more, seconds later, when views have changed and others have been decided
(rows 3 and 11; R21)."""

from __future__ import annotations

from simulator.adversary.base import Liar, Words
from simulator.clock import SECOND
from simulator.node import Node
from validators.consensus import messages as m

__all__ = ["Straggler"]

EARLIEST = SECOND
LATEST = 4 * SECOND


class Straggler(Liar):
    """Every word of it is true, or was."""

    def utter(self, node: Node, receiver: str, frame: bytes) -> Words:
        """See Liar."""
        if isinstance(self.mine(frame), (m.Prepare, m.Commit)):
            later = self.world.time + self.dice.between(EARLIEST, LATEST)
            self.world.at(later, self.world.transmit, node.name, receiver, frame, later)
        return ((receiver, frame),)
