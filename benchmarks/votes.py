"""What judging by votes costs: processor time an event, in checks (one Ed25519 verification in the same run).

Four validators and one gateway in one process, with real signatures: 1,000 runs of 20 events a second, in
chunks of one event and one turn every 50 ms; then one run as fast as it comes, in chunks of 64. Counted are
digests, votes, signing, opening, deciding and certificates; not counted are the rules of events, JSON, links
and disks.

    python -m benchmarks.votes [EVENTS]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from hashlib import sha256
from time import perf_counter, process_time
from typing import Any

from nacl import bindings

from benchmarks.cost import check_seconds
from dtvn.events.config import Algorithm, ConsensusConfig
from dtvn.events.judging import (
    Electorate,
    Event,
    Inquiry,
    RunPoint,
    assemble,
    cast_vote,
    check_certificate,
    decision_rule,
    decode_certificate,
    event_digest,
    open_turn,
    sign_turn,
)
from dtvn.protocol.genesis import Member
from dtvn.protocol.quorum import Mode

MEMBERS = 4
RUNS = 1_000
EVENTS_PER_TURN = 1_000
"""50 ms of 1,000 runs at 20 events a second: one event of each run."""
CHUNK = 64
TARGETS = {"1,000 runs, chunks of one": 2.0, "one run, chunks of 64": 1.0}
"""Checks an event, over all processes (issue 14)."""
TEXT = b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"m-%d","delta":"some words of an agent "}'


class Run:
    """The state of rules as a chain of hashes: the least that any rules cost."""

    def __init__(self) -> None:
        self.state = bytes(32)

    def rules_digest(self) -> bytes:
        """See JudgedRun."""
        return RULES

    def state_digest(self) -> bytes:
        """See JudgedRun."""
        return self.state

    def feed(self, text: bytes) -> str:
        """See JudgedRun; nothing is refused."""
        self.state = sha256(self.state + text).digest()
        return ""


RULES = sha256(b"rules").digest()


class Bench:
    """Validators and a gateway; `spent` holds processor seconds by part."""

    def __init__(self) -> None:
        pairs = [bindings.crypto_sign_keypair() for _ in range(MEMBERS)]
        members = tuple(Member(f"n{i}", pair[0], "127.0.0.1", 1) for i, pair in enumerate(pairs))
        self.voters = Electorate(sha256(b"cluster").digest(), 0, members, Mode.PBFT)
        self.secrets = [pair[1] for pair in pairs]
        self.rule = decision_rule(ConsensusConfig(algorithm=Algorithm.PBFT, min_nodes=4), MEMBERS, Mode.PBFT)
        self.spent: dict[str, float] = {}
        self.certificates: list[bytes] = []

    def timed(self, part: str, work: Callable[[], Any]) -> Any:
        """The result of `work`, its processor time added to `part`."""
        before = process_time()
        result = work()
        self.spent[part] = self.spent.get(part, 0.0) + process_time() - before
        return result

    def turn(
        self, points: list[RunPoint], chunks: list[list[Event]], runs: list[list[Run]]
    ) -> list[RunPoint]:
        """One turn: a chunk of each run is judged and certified. Returns where the runs stand then."""
        asked = self.timed("gateway: questions", lambda: self._ask(points, chunks))
        questions = [inquiry.outbox()[0].question for inquiry in asked]
        for member in range(MEMBERS):
            work = zip(questions, chunks, runs, strict=True)
            votes = self.timed(
                "validators: votes", lambda w=work, m=member: [cast_vote(q, c, r[m]) for q, c, r in w]
            )
            data = self.timed("validators: signing", lambda v=votes, m=member: self._sign(v, m))
            opened = self.timed("gateway: opening", lambda d=data, m=member: open_turn(d, self.voters, m))
            by_question = dict(zip(questions, asked, strict=True))
            self.timed(
                "gateway: deciding",
                lambda o=opened, b=by_question: [b[v.vote.question].receive(v) for v in o],
            )
        self.certificates = self.timed("gateway: certificates", lambda: self._certify(asked))
        return [inquiry.point for inquiry in asked]

    def _ask(self, points: list[RunPoint], chunks: list[list[Event]]) -> list[Inquiry]:
        return [
            Inquiry(
                point,
                [event_digest(event) for event in chunk],
                self.rule,
                range(MEMBERS),
                now=0.0,
                timeout=5.0,
                patience=1.0,
            )
            for point, chunk in zip(points, chunks, strict=True)
        ]

    def _sign(self, votes: list[Any], member: int) -> bytes:
        return sign_turn(
            votes, cluster=self.voters.cluster, epoch=0, member=member, secret=self.secrets[member]
        )

    def _certify(self, asked: list[Inquiry]) -> list[bytes]:
        return [
            assemble(piece.votes, self.rule.needed, self.voters)
            for inquiry in asked
            for piece in inquiry.pieces
        ]


def measure(runs: int, chunk: int, turns: int) -> tuple[Bench, float]:
    """(the bench, wall seconds a turn)."""
    bench = Bench()
    points = [RunPoint(f"thread-{i}", f"run-{i}", 0, bytes(32), RULES) for i in range(runs)]
    states = [[Run() for _ in range(MEMBERS)] for _ in range(runs)]
    begun = perf_counter()
    for turn in range(turns):
        salt = sha256(b"%d" % turn).digest()[:16]
        texts = [[Event(salt, TEXT % (turn * chunk + i)) for i in range(chunk)] for _ in range(runs)]
        points = bench.turn(points, texts, states)
    if any(point.position != turns * chunk for point in points):
        raise RuntimeError("not every event was certified")
    return bench, (perf_counter() - begun) / turns


def report(name: str, bench: Bench, events: int, check: float, wall: float) -> None:
    """Print one case against its target."""
    total = sum(bench.spent.values()) / events / check
    print(f"{name}: {events} events, {total:.2f} checks an event (target {TARGETS[name]:g})")
    for part, seconds in bench.spent.items():
        print(f"  {part:24} {seconds / events / check:6.3f} checks  {seconds / events * 1e6:7.1f} us")
    data = bench.certificates[-1]
    before = process_time()
    check_certificate(decode_certificate(data), bench.voters)
    spent = (process_time() - before) / check
    print(f"  a certificate has {len(data)} bytes, its check offline costs {spent:.1f} checks; ", end="")
    print(f"{wall * 1000:.0f} ms wall a turn")


def main(events: int) -> None:
    """Print check, both cases and their targets."""
    check = check_seconds()
    print(f"one check: {check * 1e6:.1f} us")
    turns = max(1, events // EVENTS_PER_TURN)
    many, wall = measure(RUNS, 1, turns)
    report("1,000 runs, chunks of one", many, turns * RUNS, check, wall)
    turns = max(1, events // CHUNK)
    one, wall = measure(1, CHUNK, turns)
    report("one run, chunks of 64", one, turns * CHUNK, check, wall)
    print(f"one check afterwards: {check_seconds() * 1e6:.1f} us")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
