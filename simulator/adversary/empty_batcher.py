"""Leads, but orders only batches without requests, as if members waited for their votes (R30, R11)."""

from __future__ import annotations

from typing import Any

from simulator.adversary.base import Liar, OutgoingFrames
from simulator.clock import MILLISECOND
from simulator.node import Node
from simulator.seams import Replica

BETWEEN = 650 * MILLISECOND
"""Less than T, and no oftener than backups tolerate for five minutes."""


class EmptyBatcher(Liar):
    """Requests wait, while the log grows."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        core = node.core
        if isinstance(core, Replica):
            proposing = core.proposing
            core.policy.has_unproposed = _nothing  # type: ignore[method-assign]
            core.policy.next_batch = _no_requests  # type: ignore[method-assign]
            proposing.tick_at = lambda: proposing._ticked + BETWEEN  # type: ignore[method-assign]
        return ((receiver, frame),)


def _nothing() -> bool:
    return False


def _no_requests() -> list[Any]:
    return []
