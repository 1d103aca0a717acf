"""Sends each of its votes once more, seconds later, when views have changed and other batches have been
decided (P3 and P11; R21)."""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.clock import SECOND

EARLIEST = SECOND
LATEST = 4 * SECOND


class VoteRepeater(Liar):
    """Each of its statements is true, or was when it was first sent."""

    def instead(self, message: Any, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if isinstance(message, (m.Prepare, m.Commit)):
            later = self.world.time + self.dice.between(EARLIEST, LATEST)
            self.world.at(later, self.world.transmit, self.node.name, receiver, frame, later)
        return ((receiver, frame),)
