"""Never leads: proposes nothing, sends no NEW-VIEW, and otherwise behaves correctly, heartbeats included
(P13, P14, P21)."""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.network import kind_of_frame
from simulator.node import Node


class IdlePrimary(Liar):
    """Its silence looks like an empty queue."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if kind_of_frame(frame) in (m.PrePrepare, m.NewView):
            return ()
        return ((receiver, frame),)
