"""As primary, sends each proposal just before the view timeout of the others expires (P21; Aardvark, RBFT,
Prime)."""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.network import kind_of_frame
from simulator.node import Node

SHARE_OF_TIMEOUT = 0.85
MICROSECOND = 1_000


class SlowPrimary(Liar):
    """Does everything correctly but late: heartbeats arrive in time, proposals do not."""

    slow = True

    def begin(self) -> None:
        """See Liar."""
        timeout = self.world.settings.parameters.view_timeout * MICROSECOND
        self._delay = int(timeout * SHARE_OF_TIMEOUT)

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if kind_of_frame(frame) is not m.PrePrepare or self.mine(frame) is None:
            return ((receiver, frame),)
        later = self.world.time + self._delay
        self.world.at(later, self.world.transmit, node.name, receiver, frame, later)
        return ()
