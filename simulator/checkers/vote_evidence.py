"""Is a member that votes in two ways convicted by what a gateway keeps, and no honest one? (P22)

A vote is heard by a gateway that still remembers the question; two of one member convict it at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.events.asking import FormError, decode_answers
from dtvn.events.judging import Event, Question, convict, open_turn
from dtvn.gateway import Judged
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.proof_errors import ProofError
from simulator.checkers.base import Checker
from simulator.event_client import EventClient
from simulator.world import World


class VoteEvidence(Checker):
    """Compares what gateways keep with what arrived there."""

    name = "vote-evidence"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.in_two_ways = 0
        """Number of votes that contradicted an earlier one."""
        self._votes: dict[tuple[str, int, int, Question], bytes] = {}
        """(gateway process, epoch, member, question) -> the first vote."""
        self._guilty: dict[tuple[str, int, str], str] = {}
        """(gateway process, epoch, member name) -> the run it lied about."""

    def hears(self, client: EventClient, member: int, body: bytes) -> None:
        """See EventWatcher."""
        electorate, process = client.electorate(), client.gateway.name
        try:
            answers = decode_answers(canonical.decode(m.Judged, body).body)
            votes = open_turn(answers.turn, electorate, member) if answers.turn else []
        except (FormError, ProofError, canonical.CanonicalError):
            return
        for vote in votes:
            question = vote.vote.question
            if answers.epoch != electorate.epoch or not client.runs.questions.remembers(question):
                continue
            first = self._votes.setdefault((process, electorate.epoch, member, question), vote.encoded)
            if first != vote.encoded:
                self.in_two_ways += 1
                self._guilty[process, electorate.epoch, electorate.members[member].id] = question.run

    def heard(self, client: EventClient) -> None:
        """See EventWatcher."""
        electorate, process = client.electorate(), client.gateway.name
        convicted = set()
        for evidence in client.runs.questions.evidence:
            convicted.add((evidence.epoch, evidence.member))
            if self.world.nodes[evidence.member].honest:
                self.fail(f"{evidence.member} is honest, and is convicted")
            if evidence.epoch == electorate.epoch:
                found = convict(evidence.data, electorate)
                if found.name != evidence.member:
                    self.fail(f"what should convict {evidence.member} convicts {found.name}")
        for (where, epoch, member), run in self._guilty.items():
            if where == process and (epoch, member) not in convicted:
                self.fail(f"{member} voted in two ways on {run}, and nothing at {where} proves it")

    def answers(self, client: EventClient, answer: Judged, events: Sequence[Event]) -> None:
        """See EventWatcher."""
