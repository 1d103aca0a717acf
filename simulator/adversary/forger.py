"""Signs checkpoints of states that never existed, near and far, votes for batches that were never proposed,
and false suspicions (P6, P7, P13)."""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import Liar, OutgoingFrames


class Forger(Liar):
    """Each receiver gets its real CHECKPOINT or one with a false state root; each Status is followed by a
    false CHECKPOINT, a false suspicion and a false vote."""

    def instead(self, message: Any, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
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
