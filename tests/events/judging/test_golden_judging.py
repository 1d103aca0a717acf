"""What judges decide: promises of each algorithm in each cluster, each mixture of votes, whole inquiries."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement, islice, permutations
from pathlib import Path

import pytest

from dtvn.events.config import Algorithm, ConfigError, ConsensusConfig
from dtvn.events.judging import (
    Decision,
    Inquiry,
    MemberVote,
    Vote,
    assemble,
    cast_vote,
    check_certificate,
    decision_rule,
    decode_certificate,
)
from dtvn.events.judging.algorithm_promises import promises
from dtvn.protocol.quorum import Mode
from tests.events.judging.support import (
    START,
    SimpleRun,
    digests,
    electorate,
    events,
    given,
    honest,
    lie,
    rule,
    tally,
)
from tests.golden import Compare

GOLDEN = Path(__file__).parent / "golden"
ALGORITHMS = ("majority", "unanimous", "pbft")
CONFIGS = {
    "usual": ConsensusConfig(),
    "larger quorum": ConsensusConfig(quorum_size=4, min_nodes=3),
    "all must agree": ConsensusConfig(require_unanimous=True),
    "pbft of four": ConsensusConfig(algorithm=Algorithm.PBFT, min_nodes=4),
    "pbft of seven": ConsensusConfig(algorithm=Algorithm.PBFT, min_nodes=7, byzantine_fault_tolerance=2),
    "no liar": ConsensusConfig(byzantine_fault_tolerance=0),
    "raft": ConsensusConfig(algorithm=Algorithm.RAFT, min_nodes=2),
}


@pytest.mark.parametrize("mode", [*Mode])
def test_promises(mode: Mode, golden: Compare) -> None:
    lines = []
    for name, config in CONFIGS.items():
        for members in (1, 2, 3, 4, 5, 7, 8):
            lines.append(f"== {name}, {members} members, the settings ask for {config.get_required_nodes()}")
            lines += [f"{key}: {promise}" for key, promise in promises(config, members, mode).items()]
            for algorithm in (None, *Algorithm):
                try:
                    made = decision_rule(config, members, mode, algorithm)
                    numbers = made.members, made.quorum, made.asked_first, made.believable
                    equal = made.needed_equal(True), made.needed_equal(False)
                    lines.append(f"  rule {algorithm}: {made.algorithm} {numbers} {equal}")
                except (ConfigError, ValueError) as error:
                    lines.append(f"  rule {algorithm}: {error}")
    golden(GOLDEN / f"promises-{mode.value}.txt", "\n".join(lines) + "\n")


def told(decision: Decision | None) -> str:
    if decision is None:
        return "undecided"
    certified = decision.certified and (decision.certified.errors or "valid")
    return (
        f"{decision.verdict} {decision.code} errors {decision.errors} warnings {decision.warnings} "
        f"certified {certified} voters {decision.voters} silent {decision.silent} "
        f"partial {decision.partial}: "
        f"{decision.text}"
    )


TEXTS = ("a", "!BAD", "c")
HONEST = honest(*TEXTS)
SAID: dict[str, Vote | None] = {
    "honest": HONEST,
    "all valid": lie(HONEST),
    "other": lie(HONEST, (0, "LIE"), (1, "BAD")),
    "absent": None,
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_mixture_of_votes(algorithm: str, golden: Compare) -> None:
    lines = []
    for members in (3, 4):
        for mixture in combinations_with_replacement(SAID, members):
            counted = tally(algorithm, members, HONEST)
            steps = []
            for member, name in enumerate(mixture):
                vote = SAID[name]
                if vote is None:
                    counted.abstain(member)
                else:
                    warnings = ["late", f"slow {member}"] if member == 1 else []
                    ignored = counted.add(given(member, vote, electorate(members)), warnings)
                    steps.append(str(ignored))
                steps.append(f"short {counted.equal_votes_short()} waits {sorted(counted.waiting)}")
            before = told(counted.decision)
            lines += [f"== {members}: {', '.join(mixture)}", f"   {'; '.join(steps)}", f"   {before}"]
            closed = told(counted.close())
            lines += [f"   closed {closed}"] if closed != before else []
    golden(GOLDEN / f"mixtures-{algorithm}.txt", "\n".join(lines) + "\n")


def test_votes_that_do_not_count(golden: Compare) -> None:
    lines = []
    counted = tally("majority", 4, HONEST)
    other = honest("x")
    for member, vote in ((0, HONEST), (0, HONEST), (0, lie(HONEST)), (5, HONEST), (1, other), (1, HONEST)):
        said = counted.add(given(member, vote, electorate(7)))
        lines.append(
            f"{member}: {said}, contradicted {sorted(counted.contradictions)}, {told(counted.decision)}"
        )
    counted.abstain(2)
    lines.append(f"2 abstains: {told(counted.decision)}")
    lines.append(f"2 votes all the same: {counted.add(given(2, HONEST))}, {told(counted.decision)}")
    lines.append(f"closed: {told(counted.close())}")
    lines.append(f"3 votes late: {counted.add(given(3, HONEST))}, {told(counted.decision)}")
    golden(GOLDEN / "not-counted.txt", "\n".join(lines) + "\n")


Answers = Callable[[int, Vote], Vote | None]
LIARS: dict[str, Answers] = {
    "all honest": lambda _member, vote: vote,
    "one lies about the third": lambda member, vote: lying(vote, 2) if member == 0 else vote,
    "two lie about the second": lambda member, vote: lying(vote, 1) if member < 2 else vote,
    "each says something else": lambda member, vote: lying(vote, member),
    "one is silent": lambda member, vote: None if member == 1 else vote,
    "two are silent": lambda member, vote: None if member in (0, 3) else vote,
    "all are silent": lambda _member, _vote: None,
}


def lying(vote: Vote, place: int) -> Vote:
    """The vote with a false error at this place of the run, if it is asked about."""
    index = place - vote.question.position
    if not 0 <= index < vote.question.count:
        return vote
    return lie(vote, *sorted((dict(vote.errors) | {index: "LIE"}).items()))


def inquired(algorithm: str, answers: Answers, *, abstain: bool) -> list[str]:
    """One chunk of five events, asked of four members, until it is settled or time is up."""
    chunk = events("a", "b", "!BAD", "d", "!WORSE")
    judging = rule(algorithm)
    inquiry = Inquiry(START, digests(chunk), judging, [2, 0, 3, 1], now=10.0, timeout=5.0, patience=1.0)
    lines, now = [f"   rule {judging.asked_first} first"], 10.0
    for _ in range(40):
        for ask in inquiry.outbox():
            begun, count = ask.question.position, ask.question.count
            run = SimpleRun(ask.question.before)
            vote = answers(ask.member, cast_vote(ask.question, chunk[begun : begun + count], run))
            said: object = "silent"
            if vote is not None:
                said = inquiry.receive(given(ask.member, vote)) or vote.errors
            elif abstain:
                inquiry.abstained(ask.member, ask.question)
                said = "abstains"
            lines.append(f"   {now} asked {ask.member} for {begun}+{count} from {ask.first}: {said}")
        if inquiry.done:
            break
        now = inquiry.deadline() or now
        inquiry.tick(now - 0.001)
        inquiry.tick(now)
    for piece in inquiry.pieces:
        lines.append(f"   piece {piece.first}+{piece.question.count} {told(piece.decision)}")
        members = [each.member for each in piece.votes], [each.member for each in piece.given]
        lines.append(
            f"     votes {members} asked {sorted(piece.asked)} contradicted {sorted(piece.contradicted)}"
        )
        if piece.votes:
            needed = judging.needed_equal(piece.votes[0].vote.valid)
            data = assemble(piece.votes, needed, electorate())
            checked = check_certificate(decode_certificate(data), electorate())
            lines.append(f"     certificate of {needed}, {len(data)} bytes: {checked.vote.errors}")
    point = inquiry.point
    lines.append(
        f"   done {inquiry.done}, settled {inquiry.settled}, at {point.position} {point.state.hex()[:12]}"
    )
    return lines


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_inquiries(algorithm: str, golden: Compare) -> None:
    lines = []
    for name, answers in LIARS.items():
        for abstain in (False, True):
            lines.append(f"== {name}{', and says so' if abstain else ''}")
            lines += inquired(algorithm, answers, abstain=abstain)
    golden(GOLDEN / f"inquiries-{algorithm}.txt", "\n".join(lines) + "\n")


def test_votes_in_each_order(golden: Compare) -> None:
    """Which votes decide may depend on their order; what is certified may not."""
    lines = []
    votes: list[tuple[int, Vote]] = [(0, HONEST), (1, HONEST), (2, HONEST), (3, lie(HONEST))]
    for order in islice(permutations(votes), 0, 24, 3):
        for algorithm in ALGORITHMS:
            counted = tally(algorithm, 4, HONEST)
            added: list[MemberVote] = [given(member, vote) for member, vote in order]
            seen = [f"{each.member}:{counted.add(each)}:{counted.decision is not None}" for each in added]
            lines.append(f"{algorithm} {' '.join(seen)} {told(counted.decision)}")
    golden(GOLDEN / "orders.txt", "\n".join(lines) + "\n")
