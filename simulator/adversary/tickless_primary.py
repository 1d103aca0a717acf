"""Leads, but orders no batch without requests: leases that end are not handed on (R30)."""

from __future__ import annotations

from simulator.adversary.base import Liar, OutgoingFrames
from simulator.node import Node
from simulator.seams import Replica


class TicklessPrimary(Liar):
    """To clients that send requests it looks correct."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        if isinstance(node.core, Replica):
            node.core.proposing.tick_at = _never  # type: ignore[method-assign]
        return ((receiver, frame),)


def _never() -> None:
    return None
