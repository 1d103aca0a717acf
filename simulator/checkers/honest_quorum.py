"""Does each certificate of agent events hold what the rules say, signed by a quorum? (P1, P2, P9, R27)

So none covers what an honest quorum refused. What a question names is read from the frames that gateways
send, and judged here by the rules alone; signatures are checked by hand, not by the product's verifier.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.events.asking import Answers, Asks
from dtvn.events.judging import (
    Ballot,
    Event,
    Question,
    Verdict,
    Vote,
    VoteCertificate,
    decode_certificate,
)
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits, StateError
from dtvn.gateway import Judged
from dtvn.protocol import canonical
from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus import messages as m
from simulator.checkers.base import Checker
from simulator.event_client import EventClient
from simulator.network import kind_of_frame
from simulator.node import Node
from simulator.world import World

TAG = b"dtvn/events/v1/votes\0"
EVENT_TAG = "dtvn/events/v1/event"
STATE_TAG = "dtvn.events.state"


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """The product's form of a turn, read here without its checks."""

    version: int
    epoch: int
    member: int
    votes: tuple[bytes, ...]
    signature: bytes


class HonestQuorum(Checker):
    """Judges each question anew, and compares what honest members say and what certificates hold."""

    name = "honest-quorum"
    kinds = frozenset({m.Judge, m.Judged})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        fresh = RuledRun(Limits())
        self.certificates = 0
        """Number of certificates that were checked."""
        self.invalid = 0
        """Number of these whose verdict is invalid."""
        self.parts = 0
        """Number of these that cover a part of what was asked."""
        self._rules = fresh.rules_digest()
        self._states = {fresh.state_digest(): fresh.state}
        """State digest -> its bytes: those that follow from the rules, and those that a gateway gave."""
        self._chunks: dict[bytes, tuple[Event, ...]] = {}
        self._asked: dict[tuple[str, str, int, bytes], Question] = {}
        """(thread, run, position, chunk digest) -> the question; salts make chunks unlike."""
        self._true: dict[Question, Vote] = {}
        self._said: dict[tuple[int, int], set[bytes]] = {}
        """(epoch, member) -> the votes that an honest member gave."""

    # --- what is said ----------------------------------------------------------------------------

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Observer: a gateway's questions."""
        if kind_of_frame(frame) is not m.Judge or receiver in self.world.endpoints:
            return
        try:
            message = self.world.frame_cache.read(frame)[1]
        except canonical.CanonicalError:
            return  # a byte corrupter's
        for asked in canonical.decode(Asks, message.body).asks:
            events = tuple(asked.chunk())
            self._chunks[_chunk(events)] = events
            question = asked.question
            place = question.thread, question.run, question.position, question.chunk
            self._asked[place] = question
            if asked.state:
                self._states[canonical.tagged_digest(STATE_TAG, asked.state)] = asked.state

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Observer: an honest member's votes."""
        message = self.world.frame_cache.read(frame)[1] if node.honest else None
        if not isinstance(message, m.Judged):
            return
        answers = canonical.decode(Answers, message.body)
        if not answers.turn:
            return
        turn = canonical.decode(Turn, answers.turn)
        for encoded in turn.votes:
            vote = canonical.decode(Vote, encoded)
            true = self._judge(vote.question)
            if vote != true:
                self.fail(f"{node.name} votes {_shown(vote)} and the rules say {_shown(true)}")
            self._said.setdefault((turn.epoch, turn.member), set()).add(encoded)

    def truth(self, thread: str, run: str, position: int, events: Sequence[Event]) -> Vote | None:
        """What the rules say about these events, as they were asked; None if they were not, or about a state
        or rules that are not known here."""
        question = self._asked.get((thread, run, position, _chunk(events)))
        return None if question is None else self._judge(question)

    def _judge(self, question: Question) -> Vote | None:
        """What the rules say; None if the question names what nobody gave, or other rules."""
        true = self._true.get(question)
        if true is not None:
            return true
        state, events = self._states.get(question.before), self._chunks.get(question.chunk)
        if state is None or events is None or question.rules != self._rules or len(events) != question.count:
            return None
        try:
            run = RuledRun(Limits(), state)
        except StateError:
            return None
        codes = [run.feed(event.text) for event in events]
        errors = tuple((index, code) for index, code in enumerate(codes) if code)
        true = self._true[question] = Vote(question, run.state_digest(), errors)
        self._states[true.after] = run.state
        return true

    # --- what is certified -----------------------------------------------------------------------

    def hears(self, client: EventClient, member: int, body: bytes) -> None:
        """See EventWatcher."""

    def heard(self, client: EventClient) -> None:
        """See EventWatcher."""

    def answers(self, client: EventClient, answer: Judged, events: Sequence[Event]) -> None:
        """See EventWatcher."""
        for piece in answer.pieces:
            if not piece.certificate:
                continue
            where = f"the answer about {answer.run} at {piece.position}"
            certificate = decode_certificate(piece.certificate)
            vote = self.check(certificate, where)
            first = piece.position - answer.position
            self.parts += piece.count < len(events)
            asked, own = vote.question, events[first : first + piece.count]
            named = asked.thread, asked.run, asked.position, asked.count, asked.chunk
            if named != (answer.thread, answer.run, piece.position, piece.count, _chunk(own)):
                self.fail(f"{where} has a certificate of other events: {_shown(vote)}")
            if (not vote.errors) is not (piece.verdict is Verdict.VALID):
                self.fail(f"{where} says {piece.verdict}, its certificate {_shown(vote)}")

    def check(self, certificate: VoteCertificate, where: str) -> Vote:
        """The vote of a certificate that holds; fails for any other one. `where`: a noun."""
        self.certificates += 1
        vote = canonical.decode(Vote, certificate.vote)
        self.invalid += bool(vote.errors)
        epoch, signers = certificate.epoch, {ballot.member for ballot in certificate.ballots}
        if certificate.cluster != self.world.cluster or epoch not in self.world.epochs:
            self.fail(f"{where} has a certificate of epoch {epoch}, or of another cluster")
        if len(signers) < self.quorum_in(epoch) or len(signers) != len(certificate.ballots):
            self.fail(f"{where} has a certificate of members {sorted(signers)} alone")
        for ballot in certificate.ballots:
            if not self._signed(certificate, ballot):
                self.fail(f"{where} has a certificate that member {ballot.member} did not sign")
        true = self._judge(vote.question)
        if vote != true:
            self.fail(f"{where} has a certificate of {_shown(vote)}, and the rules say {_shown(true)}")
        return vote

    def _signed(self, certificate: VoteCertificate, ballot: Ballot) -> bool:
        """Whether a member signed its turn, and, if it is honest, gave this vote."""
        world, members = self.world, self.world.epochs[certificate.epoch].members
        leaf = canonical.digest(b"\x00" + certificate.vote)
        root = log_tree.climb(ballot.place, ballot.size, leaf, ballot.path)
        if root is None or not 0 <= ballot.member < len(members):
            return False
        head = canonical.encode((certificate.epoch, ballot.member, ballot.size, root))
        member = members[ballot.member]
        said = self._said.get((certificate.epoch, ballot.member), ())
        if world.nodes[member.id].honest and certificate.vote not in said:
            return False
        data = b"".join((TAG, world.cluster, head))
        return world.keyring.scheme.verify(member.public_key, data, ballot.signature)


def _chunk(events: Sequence[Event]) -> bytes:
    leaves = [canonical.tagged_digest(EVENT_TAG, event.salt, event.text) for event in events]
    return canonical.merkle_root(leaves)


def _shown(vote: Vote | None) -> str:
    if vote is None:
        return "nothing"
    asked = vote.question
    return f"{asked.run} {asked.position}+{asked.count}: {dict(vote.errors) or 'valid'}"
