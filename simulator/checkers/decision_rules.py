"""Does each verdict on agent events follow the rule of its algorithm? (contract 3.2; P1, R27)

Whatever is lost or late, f liars turn no verdict: a false one of *majority*, *pbft* or *raft*, or a valid one
of *unanimous* to which a member did not agree, is a violation. An invalid one of *unanimous* needs one vote,
so a liar can cause it; it has no certificate then. HonestQuorum checks the certificates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dtvn.events.config import ORDERED, Algorithm
from dtvn.events.judging import Event, Verdict, decode_certificate
from dtvn.gateway import Given, Judged, JudgedPiece
from simulator.checkers.base import Checker
from simulator.checkers.honest_quorum import HonestQuorum
from simulator.event_client import EventClient
from simulator.world import World


class DecisionRules(Checker):
    """Compares verdicts with what the rules say and with what members gave."""

    name = "decision-rules"

    def __init__(self, world: World, votes: HonestQuorum) -> None:
        super().__init__(world)
        self._votes = votes
        self.verdicts: Counter[tuple[Algorithm, Verdict, bool]] = Counter()
        """Number of pieces by algorithm, verdict and whether they have a certificate."""

    def hears(self, client: EventClient, member: int, body: bytes) -> None:
        """See EventWatcher."""

    def heard(self, client: EventClient) -> None:
        """See EventWatcher."""

    def answers(self, client: EventClient, answer: Judged, events: Sequence[Event]) -> None:
        """See EventWatcher."""
        for piece in answer.pieces:
            self.verdicts[answer.algorithm, piece.verdict, bool(piece.certificate)] += 1
            if piece.verdict is Verdict.NONE:
                continue
            where = f"{answer.algorithm} on {answer.run} at {piece.position}"
            if answer.algorithm is Algorithm.UNANIMOUS:
                self._check_unanimous(piece, where)
                continue
            if answer.algorithm in ORDERED and not piece.certificate:
                self.fail(f"{where} says {piece.verdict} without a certificate")
            first = piece.position - answer.position
            own = events[first : first + piece.count]
            true = self._votes.truth(answer.thread, answer.run, piece.position, own)
            if true is not None and (not true.errors) is not (piece.verdict is Verdict.VALID):
                self.fail(f"{where} says {piece.verdict}, and the rules do not")

    def _check_unanimous(self, piece: JudgedPiece, where: str) -> None:
        given = [each.given for each in piece.members]
        if piece.verdict is Verdict.INVALID:
            if Given.INVALID not in given:
                self.fail(f"{where} says invalid, and no member does")
            return
        if set(given) - {Given.VALID, Given.CONTRADICTED}:
            self.fail(f"{where} says valid, and its members {', '.join(given)}")
        if piece.certificate:
            signers = len(decode_certificate(piece.certificate).ballots)
            if signers != len(self.world.epochs[piece.epoch].members):
                self.fail(f"{where} says valid, and {signers} members signed its certificate")
