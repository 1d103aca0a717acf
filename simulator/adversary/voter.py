"""Base of members that lie about agent events: each turn of signed votes, before it leaves.

What they lie about follows from the place of an event in its run, so a liar says the same about an event in
whichever chunk it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.events.asking import Answers, decode_answers
from dtvn.events.judging import Electorate, Vote, open_turn, sign_turn
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import link_frame
from simulator.adversary.base import Liar, OutgoingFrames
from simulator.node import Node

A_LIE = "A_LIE"
EVERY = 4
"""One event of this many is lied about."""


class Voter(Liar):
    """Sends true votes; `turns` says otherwise."""

    def on_send(self, node: Node, receiver: str, frame: bytes) -> OutgoingFrames:
        """See Liar."""
        _envelope, message = self.world.frame_cache.read(frame)
        if not isinstance(message, m.Judged):
            return ((receiver, frame),)
        answers = decode_answers(message.body)
        if not answers.turn:
            return ((receiver, frame),)
        return self.say(receiver, frame, answers, self._votes(answers))

    def say(self, receiver: str, frame: bytes, answers: Answers, votes: Sequence[Vote]) -> OutgoingFrames:
        """The frames sent instead of one with these true votes."""
        return ((receiver, frame),)

    def signed(self, answers: Answers, votes: Sequence[Vote]) -> bytes:
        """A frame like the one with `answers`, with other votes."""
        secret = self.world.keyring.pair(self.node.keys[-1])[1]
        turn = sign_turn(
            votes,
            cluster=self.world.cluster,
            epoch=answers.epoch,
            member=self.index,
            secret=secret,
            scheme=self.world.keyring.scheme,
        )
        body = Answers(answers.version, answers.epoch, turn, answers.abstentions)
        return link_frame(m.Judged(canonical.encode(body)))

    def false(self, vote: Vote) -> Vote:
        """The opposite about some events; the true vote if none of them is among those."""
        errors = dict(vote.errors)
        for place in range(vote.question.count):
            lies = (vote.question.position + place) % EVERY == self.index % EVERY
            if lies and errors.pop(place, None) is None:
                errors[place] = A_LIE
        return Vote(vote.question, vote.after, tuple(sorted(errors.items())))

    def _votes(self, answers: Answers) -> list[Vote]:
        world = self.world
        members = world.epochs[answers.epoch].members
        electorate = Electorate(world.cluster, answers.epoch, members, world.mode, world.keyring.scheme)
        return [each.vote for each in open_turn(answers.turn, electorate, self.index)]
