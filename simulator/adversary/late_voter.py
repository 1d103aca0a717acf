"""Withholds true votes, or sends them late, twice, or without a valid signature (P3)."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.events.asking import Answers
from dtvn.events.judging import Vote
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import link_frame
from simulator.adversary.base import OutgoingFrames
from simulator.adversary.voter import Voter
from simulator.clock import SECOND


class LateVoter(Voter):
    """What it says is true."""

    def say(self, receiver: str, frame: bytes, answers: Answers, votes: Sequence[Vote]) -> OutgoingFrames:
        """See Voter."""
        kind = self.dice.below(5)
        if kind == 0:
            return ()
        if kind == 1:
            return ((receiver, frame), (receiver, frame))
        if kind == 2:
            return ((receiver, self._unsigned(frame, answers)),)
        if kind == 3:
            later = self.world.time + self.dice.below(2 * SECOND)
            self.world.at(later, self.world.transmit, self.node.name, receiver, frame, later)
            return ()
        return ((receiver, frame),)

    def _unsigned(self, frame: bytes, answers: Answers) -> bytes:
        turn = answers.turn[:-1] + bytes([answers.turn[-1] ^ 1])
        body = Answers(answers.version, answers.epoch, turn, answers.abstentions)
        return link_frame(m.Judged(canonical.encode(body)))
