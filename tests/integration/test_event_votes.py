"""Agent events judged by four real nodes: through a kill -9, and beside a member that lies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dtvn.events.config import Algorithm
from dtvn.events.judging import Electorate, Event, Verdict, check_certificate, convict, decode_certificate
from dtvn.events.transcript import check_transcript, compose
from dtvn.gateway import EventRun, Gateway, Given, Judged, Recorded
from dtvn.protocol.genesis import cluster_id
from tests.integration.lying_judge import LyingJudge, both_ways, only_lies
from tests.integration.node_cluster import OUTCOME_WAIT, Cluster, running_cluster
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

START = b'{"type":"RUN_STARTED","threadId":"t","runId":"r"}'
OPEN = b'{"type":"TEXT_MESSAGE_START","messageId":"m","role":"assistant"}'
TEXT = b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"word"}'
CLOSE = b'{"type":"TEXT_MESSAGE_END","messageId":"m"}'
END = b'{"type":"RUN_FINISHED","threadId":"t","runId":"r"}'
BAD = b'{"type":"TOOL_CALL_END","toolCallId":"never-opened"}'
CHUNKS = 60
"""Of one event, judged one after the other."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Gateway]]:
    with running_cluster(tmp_path_factory.mktemp("votes") / "data", 4) as made:
        yield made


def electorate(gateway: Gateway) -> Electorate:
    return Electorate(cluster_id(gateway.genesis), 0, gateway.present.members, gateway.present.mode)


def judge(run: EventRun, *texts: bytes) -> Judged:
    return run.judge(texts, wait=OUTCOME_WAIT).result(OUTCOME_WAIT + 10)


def said(judged: Judged, member: int) -> Given:
    return judged.pieces[-1].members[member].given


def check_true(judged: Judged, voters: Electorate, *, refused: bool) -> None:
    """The verdict is that of the rules, under a certificate that holds."""
    assert judged.verdict is (Verdict.INVALID if refused else Verdict.VALID)
    assert judged.certified
    for data in judged.certificates:
        assert "A_LIE" not in {code for _, code in _checked(data, voters)}


def _checked(data: bytes, voters: Electorate) -> tuple[tuple[int, str], ...]:
    return check_certificate(decode_certificate(data), voters).vote.errors


@pytest.mark.parametrize("algorithm", [Algorithm.MAJORITY, Algorithm.UNANIMOUS, Algorithm.PBFT])
def test_four_nodes_judge_a_run(running: tuple[Cluster, Gateway], algorithm: Algorithm) -> None:
    _cluster, gateway = running
    run = gateway.events.begin("thread", f"four-{algorithm}", algorithm=algorithm)
    check_true(judge(run, START, OPEN, TEXT), electorate(gateway), refused=False)
    refused = judge(run, BAD, CLOSE)
    check_true(refused, electorate(gateway), refused=True)
    assert [(each.index, each.code) for each in refused.violations] == [(3, "TOOL_CALL_NOT_OPEN")]
    check_true(judge(run, END), electorate(gateway), refused=False)
    assert run.end(wait=OUTCOME_WAIT).result(OUTCOME_WAIT + 10).code in ("ok", "")


def test_a_recorded_run_is_a_transcript_that_the_log_confirms(running: tuple[Cluster, Gateway]) -> None:
    _cluster, gateway = running
    recorded: list[Recorded] = []
    run = gateway.events.begin("thread", "transcript", on_recorded=recorded.append)
    texts = [START, OPEN, *[TEXT] * 20, CLOSE, END]
    salts = [salt for text in texts for salt in judge(run, text).salts]
    end = run.end(wait=OUTCOME_WAIT).result(OUTCOME_WAIT + 10)
    assert end.code == "ok"
    events = [Event(salt, text) for salt, text in zip(salts, texts, strict=True)]
    transcript = compose(events, [each.certificate for each in recorded])
    checked = check_transcript(transcript, cluster_id(gateway.genesis), lambda _epoch: electorate(gateway))
    assert checked.head == end.place.head == recorded[-1].head
    assert (checked.events, checked.refused) == (len(texts), ())


def test_verdicts_go_on_through_a_kill_and_the_member_returns(running: tuple[Cluster, Gateway]) -> None:
    cluster, gateway = running
    voters = electorate(gateway)
    run = gateway.events.begin("thread", "kill", algorithm=Algorithm.PBFT)
    check_true(judge(run, START, OPEN), voters, refused=False)
    for number in range(CHUNKS):
        if number == CHUNKS // 3:
            cluster.kill(2)
        check_true(judge(run, TEXT), voters, refused=False)
    cluster.start(2)

    def votes_again() -> bool:
        return said(judge(run, TEXT), 2) is Given.VALID

    wait_until(votes_again, what=lambda: f"node2 votes again\n{cluster.outputs()}")
    check_true(judge(run, CLOSE, END), voters, refused=False)
    assert run.end(wait=OUTCOME_WAIT).result(OUTCOME_WAIT + 10).code == "ok"


def test_a_lying_member_certifies_nothing(running: tuple[Cluster, Gateway]) -> None:
    """Its link, key and signatures are real; only its votes are false."""
    cluster, gateway = running
    voters = electorate(gateway)
    cluster.kill(3)
    try:
        with LyingJudge(gateway.genesis, 3, cluster.node(3).key, only_lies) as liar:
            run = gateway.events.begin("thread", "liar", algorithm=Algorithm.PBFT)
            check_true(judge(run, START, OPEN), voters, refused=False)

            def lied() -> bool:
                judged = judge(run, TEXT)
                check_true(judged, voters, refused=False)
                return said(judged, 3) is Given.INVALID

            wait_until(lied, what=lambda: f"its votes arrive: {liar.turns} turns")
            check_true(judge(run, BAD), voters, refused=True)
            assert run.end(wait=OUTCOME_WAIT).result(OUTCOME_WAIT + 10).code == "ok"
            assert gateway.events.evidence() == ()
    finally:
        cluster.start(3)


def test_a_member_that_votes_both_ways_is_convicted(running: tuple[Cluster, Gateway]) -> None:
    cluster, gateway = running
    voters = electorate(gateway)
    cluster.kill(3)
    try:
        with LyingJudge(gateway.genesis, 3, cluster.node(3).key, both_ways):
            run = gateway.events.begin("thread", "twice", algorithm=Algorithm.PBFT)
            check_true(judge(run, START, OPEN), voters, refused=False)

            def convicted() -> bool:
                check_true(judge(run, TEXT), voters, refused=False)
                return bool(gateway.events.evidence())

            wait_until(convicted, what="there is evidence")
            (evidence,) = gateway.events.evidence()
            assert evidence.member == "node3"
            assert convict(evidence.data, voters).name == "node3"
            run.end().result(OUTCOME_WAIT)
    finally:
        cluster.start(3)
