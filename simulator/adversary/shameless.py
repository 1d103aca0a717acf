"""A liar keeps its vote: the honest core inside would give it up on hearing its own second word (R11)."""

from __future__ import annotations

from typing import Any

from simulator.node import Node
from validators.consensus.effects import Reason
from validators.consensus.messages import Commit, Prepare, PrePrepare
from validators.consensus.own import Own
from validators.consensus.replica import Replica

__all__ = ["Shameless"]

PHASES = {PrePrepare: "pre_prepare", Prepare: "prepare", Commit: "commit"}


class Shameless(Own):
    """Passes over another vote than the own one in a slot in which it voted; else as in every node.

    A vote of which its ledger knows nothing still stops a twin or a node with a lost disk.
    """

    def __init__(self, core: Replica, node: Node) -> None:
        super().__init__(core)
        self._node = node

    def refuse(self, message: Any) -> Reason | None:
        """See Own."""
        phase = PHASES.get(type(message))
        if self._node.speech is not None and phase is not None:
            place = {"view": message.view, "sequence": message.sequence}
            if self.core.ballot.find(**place, phase=phase) is not None:
                return Reason.SECOND_MESSAGE
        return super().refuse(message)
