"""Says that it has executed far more than there is, and answers nobody who asks for it (row 17; the
CometBFT peer that names a height and never delivers)."""

from __future__ import annotations

from simulator.adversary.base import Liar, Words
from simulator.node import Node
from validators.consensus import messages as m

__all__ = ["Boaster"]

AHEAD = 1_000


class Boaster(Liar):
    """Its Status names a log that nobody has; pages of the log it keeps to itself."""

    def utter(self, node: Node, receiver: str, frame: bytes) -> Words:
        """See Liar."""
        if len(frame) > 1 and frame[1] == m.KIND_OF[m.Entries]:
            return ()
        message = self.mine(frame)
        if not isinstance(message, m.Status):
            return ((receiver, frame),)
        far = message.executed + AHEAD
        return ((receiver, self.changed(frame, message, executed=far, proposed=far)),)
