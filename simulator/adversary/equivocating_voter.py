"""Votes in two ways on the same named inputs: both in one turn, or one after the other (P22)."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.events.asking import Answers
from dtvn.events.judging import Vote
from simulator.adversary.base import OutgoingFrames
from simulator.adversary.voter import A_LIE, Voter


class EquivocatingVoter(Voter):
    """Its true vote is among them."""

    def say(self, receiver: str, frame: bytes, answers: Answers, votes: Sequence[Vote]) -> OutgoingFrames:
        """See Voter."""
        false = [Vote(vote.question, vote.after, ((0, A_LIE),)) for vote in votes]
        both = [list(votes), false] if self.dice.hit(0.5) else [false, list(votes)]
        if self.dice.hit(0.5):
            return ((receiver, self.signed(answers, both[0] + both[1])),)
        return tuple((receiver, self.signed(answers, each)) for each in both)
