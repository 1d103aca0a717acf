"""Claims to have executed far more than exists, and answers no request for it (P17; the CometBFT peer that
names a height and never delivers)."""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.node import Node

AHEAD = 1_000


class ProgressInflator(Liar):
    """Its Status names a log that does not exist; it never serves pages of the log."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if len(frame) > 1 and frame[1] == m.KIND_OF[m.Entries]:
            return ()
        message = self.mine(frame)
        if not isinstance(message, m.Status):
            return ((receiver, frame),)
        far = message.executed + AHEAD
        return ((receiver, self.changed(frame, message, executed=far, proposed=far)),)
