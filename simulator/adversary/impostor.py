"""Equivocates as primary and forges the votes of all members for both batches (P2).

It can sign with its own key only, so an honest door admits none of the forged votes.
"""

from __future__ import annotations

import msgspec

from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import OutgoingFrames
from simulator.adversary.equivocator import Equivocator
from simulator.node import Node


class Impostor(Equivocator):
    """Sends a complete forged quorum with each proposal, signed with the wrong key."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        words = list(super().on_send(node, receiver, frame))
        proposal = self.mine(words[0][1]) if words else None
        if isinstance(proposal, m.PrePrepare):
            for index in range(self.world.members):
                place = (proposal.view, proposal.sequence, proposal.digest)
                epoch = proposal.epoch
                for vote in (m.Prepare(epoch, index, *place), m.Commit(epoch, index, *place)):
                    if index != self.index:
                        words.append((receiver, self.signer.sign(vote)))
        elif isinstance(proposal, (m.Checkpoint, m.Suspect, m.ViewChange)) and self.dice.hit(0.3):
            other = self.dice.below(self.world.members)
            words.append((receiver, self.signer.sign(msgspec.structs.replace(proposal, sender=other))))
        return words
