"""Signs checkpoints of states that never were, near and far, votes for batches that nobody proposed, and
cries suspicion (rows 6, 7, 13)."""

from __future__ import annotations

from simulator.adversary.base import Liar, Words
from simulator.node import Node
from validators.consensus import messages as m

__all__ = ["Forger"]


class Forger(Liar):
    """Its real CHECKPOINTs are kept from some, and each word of its node may bring a false one along."""

    def utter(self, node: Node, receiver: str, frame: bytes) -> Words:
        """See Liar."""
        message = self.mine(frame)
        words = [(receiver, frame)]
        if isinstance(message, m.Checkpoint):
            root = self.dice.bytes(32)
            lie = self.changed(frame, message, state_root=root)
            words = [(receiver, self.dice.pick((frame, lie)))]
        elif isinstance(message, m.Status) and receiver in self.others():
            interval = self.world.settings.parameters.checkpoint_interval
            ahead = message.executed // interval + self.dice.pick((1, 1, 2, 1_000))
            far = m.Checkpoint(
                message.epoch, self.index, ahead * interval, b"s" * 32, b"l" * 32, 1_700_000_000_000_000
            )
            words.append((receiver, self.signer.sign(far)))
            suspicion = m.Suspect(message.epoch, self.index, message.view + 1, "progress")
            words.append((receiver, self.signer.sign(suspicion)))
            place = (message.view + self.dice.below(2), message.executed + 1 + self.dice.below(20))
            kind = self.dice.pick((m.Prepare, m.Commit))
            stray = kind(message.epoch, self.index, *place, self.dice.bytes(32))
            words.append((receiver, self.signer.sign(stray)))
        return words
