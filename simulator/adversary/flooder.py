"""Floods all members with useless statements: future views, far sequences, huge and repeated frames (P15).
Each is signed and well-formed, so that only cheap checks and bounds help."""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.node import Node

FRAMES = 600
"""Number of frames in one flood, over all receivers."""
HUGE = 300_000


class Flooder(Liar):
    """Starts a flood whenever its node sends its Status."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        words = [(receiver, frame)]
        message = self.mine(frame)
        if isinstance(message, m.Status) and receiver in self.others():
            words += [(receiver, self._junk(message, frame)) for _ in range(FRAMES // self.world.members)]
        return words

    def _junk(self, status: m.Status, frame: bytes) -> bytes:
        dice = self.dice
        view = status.view + dice.pick((0, 1, 1, 1, 2, 1_000, 1 << 40))
        sequence = status.executed + 1 + dice.pick((0, 1, 5, 30, dice.below(2_000)))
        digest = dice.bytes(32)
        match dice.below(8):
            case 0:
                return frame
            case 1:
                return self.signer.sign(m.ViewChange(status.epoch, self.index, view, (), ()))
            case 2 if dice.hit(0.05):
                return frame[:1] + b"\x05" + dice.bytes(64) * (HUGE // 64)
            case 3:
                return self.signer.sign(m.Suspect(status.epoch, self.index, view, "x" * 500))
            case 4:
                return self.signer.sign(m.Commit(status.epoch, self.index, view, sequence, digest))
        return self.signer.sign(m.Prepare(status.epoch, self.index, view, sequence, digest))
