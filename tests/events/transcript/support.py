"""A run that members of a cluster on paper judge by the real rules, byte for byte the same in every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

from dtvn.events.judging import (
    Electorate,
    Event,
    RunPoint,
    Vote,
    assemble,
    cast_vote,
    event_digest,
    open_turn,
    sign_turn,
)
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits, rules_digest
from dtvn.events.transcript import Transcript, compose
from dtvn.protocol.versions import FIRST
from tests.events.rules.samples import event
from tests.host.support import key_pair
from tests.proof.support import PaperLog

CHUNKS = (
    (event("RS:r1", threadId="t1"), event("TS:m"), event("TC:m", delta="Grüße, ")),
    (event("TC:other"),),
    (event("TC:m", delta="an alle."), event("TE:m")),
    (event("RF:r1", threadId="t1"),),
)
"""The events of the story; the one of the second chunk is refused."""
SIGNERS = (0, 1, 3)
GOLDEN = Path(__file__).with_name("golden.hex")
"""Bytes of the story: another release must read them as this one does."""
RULES = rules_digest(Limits())


class JudgedRun:
    """Collects events and certificates, chunk after chunk."""

    def __init__(self, thread: str = "t1", run: str = "r1", state: bytes = b"") -> None:
        self.rules = RuledRun(Limits(), state)
        self.point = RunPoint(thread, run, 0, self.rules.state_digest(), RULES)
        self.events: list[Event] = []
        self.certificates: list[bytes] = []

    def judge(
        self,
        texts: Sequence[bytes],
        voters: Electorate,
        signers: Sequence[int] = SIGNERS,
        said: Callable[[Vote], Vote] = lambda vote: vote,
    ) -> None:
        """These members vote on the next chunk, as `said` has it. Each turn holds another vote besides."""
        chunk = [
            Event(sha256(b"salt %d" % at).digest()[:16], text)
            for at, text in enumerate(texts, len(self.events))
        ]
        question = self.point.question([event_digest(each) for each in chunk])
        vote = said(cast_vote(question, chunk, self.rules))
        beside = Vote(RunPoint("t0", "r0", 0, bytes(32), RULES).question([bytes(32)]), bytes(32), ())
        given = []
        for member in signers:
            secret = key_pair(voters.members[member].id)[1]
            turn = sign_turn(
                [beside, vote], cluster=voters.cluster, epoch=voters.epoch, member=member, secret=secret
            )
            given.append(open_turn(turn, voters, member)[1])
        self.certificates.append(assemble(given, len(signers), voters))
        self.events += chunk
        self.point = self.point.after(question, vote.after)

    def transcript(self) -> Transcript:
        return compose(self.events, self.certificates)


def joined() -> Transcript:
    """The first chunk of one history of a run, and the second one of another; all is really signed."""

    def judged(first: bytes) -> JudgedRun:
        run = JudgedRun()
        run.judge((first,), voters_of(cluster()))
        run.judge((event("CU"),), voters_of(cluster()))
        return run

    started, never = judged(CHUNKS[0][0]), judged(event("CU"))
    return compose([started.events[0], never.events[1]], [started.certificates[0], never.certificates[1]])


def voters_of(log: PaperLog, epoch: int = 0) -> Electorate:
    found = log.application.epoch(epoch)
    assert found is not None
    return Electorate(log.cluster, epoch, found.members, found.mode)


@cache
def cluster() -> PaperLog:
    """Two epochs of a cluster of version 1: r4 joins the second one."""
    log = PaperLog(version=FIRST)
    log.change(joins="r4")
    return log


@cache
def story() -> JudgedRun:
    """A whole run in the first epoch."""
    run = JudgedRun()
    for texts in CHUNKS:
        run.judge(texts, voters_of(cluster()))
    return run
