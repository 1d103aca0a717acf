"""A liar keeps its vote: the honest core inside would give it up when its second vote comes back (R11)."""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import Commit, Prepare, PrePrepare
from simulator.node import Node
from simulator.seams import ReplicaState, SelfMessageGuard, Voting

PHASES = {PrePrepare: "pre_prepare", Prepare: "prepare", Commit: "commit"}


class LiarsSelfMessageGuard(SelfMessageGuard):
    """Ignores a second, different vote of its own in a slot; otherwise as in every node.

    A vote of which its ledger has no record still stops a twin or a node with a lost disk.
    """

    def __init__(self, state: ReplicaState, own_vote: Voting, node: Node) -> None:
        super().__init__(state, own_vote)
        self._node = node

    def refuse(self, message: Any) -> Reason | None:
        """See SelfMessageGuard."""
        phase = PHASES.get(type(message))
        if self._node.send_hook is not None and phase is not None:
            place = {"view": message.view, "sequence": message.sequence}
            if self.state.own_votes.find(**place, phase=phase) is not None:
                return Reason.SECOND_MESSAGE
        return super().refuse(message)
