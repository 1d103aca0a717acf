"""Names false log times in its refusals of expired requests: far ahead, so that a gateway that believes it
dates what it sends too far ahead (R14)."""

from __future__ import annotations

import msgspec

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import link_frame
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.network import kind_of_frame
from simulator.node import Node

HOURS = 10 * 3_600_000_000


class FalseRefuser(Liar):
    """One member's word is no time."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if kind_of_frame(frame) is m.Busy:
            busy = self.world.frame_cache.read(frame)[1]
            if busy.timestamp:
                frame = link_frame(msgspec.structs.replace(busy, timestamp=busy.timestamp + HOURS))
        return ((receiver, frame),)
