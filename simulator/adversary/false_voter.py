"""Votes falsely about some agent events, always in the same way (P2 and P3 of votes)."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.events.asking import Answers
from dtvn.events.judging import Vote
from simulator.adversary.base import OutgoingFrames
from simulator.adversary.voter import Voter


class FalseVoter(Voter):
    """Refuses valid events and passes others."""

    def say(self, receiver: str, frame: bytes, answers: Answers, votes: Sequence[Vote]) -> OutgoingFrames:
        """See Voter."""
        return ((receiver, self.signed(answers, [self.false(vote) for vote in votes])),)
