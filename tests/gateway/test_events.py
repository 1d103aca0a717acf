"""Runs judged by members without links: verdicts, certificates, records, and what liars cannot do."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from dtvn.events.asking.forms import VERSION, Answers, decode_answers
from dtvn.events.config import Algorithm
from dtvn.events.judging import (
    AlgorithmNotOffered,
    Electorate,
    Verdict,
    Vote,
    check_certificate,
    convict,
    decode_certificate,
    first_head,
    next_head,
    sign_turn,
)
from dtvn.events.judging.turns import Turn
from dtvn.gateway import (
    Given,
    Judged,
    OperationTooLarge,
    Overloaded,
    Recorded,
    Result,
    RunEnded,
    RunIsLive,
    RunPlace,
)
from dtvn.gateway.event_records import EVERY
from dtvn.protocol import canonical
from dtvn.protocol.genesis import cluster_id
from tests.fake_gateway import FakeGateway
from tests.host.support import key_pair, make_genesis

START = b'{"type":"RUN_STARTED","threadId":"t","runId":"r"}'
OPEN = b'{"type":"TEXT_MESSAGE_START","messageId":"m","role":"assistant"}'
TEXT = b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"x"}'
CLOSE = b'{"type":"TEXT_MESSAGE_END","messageId":"m"}'
END = b'{"type":"RUN_FINISHED","threadId":"t","runId":"r"}'
RUN = (START, OPEN, TEXT, CLOSE, END)


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(make_genesis(4), principal="gateway")


def electorate(gateway: FakeGateway) -> Electorate:
    return Electorate(cluster_id(gateway.genesis), 0, gateway.present.members, gateway.present.mode)


def chain(judged: Judged) -> bytes:
    """Head of a run after these pieces, from its first event on."""
    head = first_head(judged.thread, judged.run)
    for data in judged.certificates:
        head = next_head(head, decode_certificate(data).vote)
    return head


@pytest.mark.parametrize("algorithm", [Algorithm.MAJORITY, Algorithm.UNANIMOUS, Algorithm.PBFT])
def test_a_run_gets_verdicts_with_certificates(gateway: FakeGateway, algorithm: Algorithm) -> None:
    run = gateway.events.begin("thread", "run", algorithm=algorithm)
    judged = run.judge(RUN).result(0)
    assert judged.verdict is Verdict.VALID
    assert judged.certified
    (piece,) = judged.pieces
    found = check_certificate(decode_certificate(piece.certificate), electorate(gateway))
    assert (found.vote.question.position, found.vote.question.count) == (0, 5)
    assert run.position == 5
    given = [each.given for each in piece.members]
    fourth = {Algorithm.UNANIMOUS: Given.VALID, Algorithm.PBFT: Given.NOT_WAITED_FOR}
    expected = [Given.VALID] * 3 + [fourth.get(algorithm, Given.NOT_ASKED)]
    assert sorted(given) == sorted(expected), "nobody was silent"


def test_a_refused_event_is_named_by_members_and_here(gateway: FakeGateway) -> None:
    run = gateway.events.begin("thread", "run")
    run.judge([START]).result(0)
    judged = run.judge([TEXT, OPEN]).result(0)
    assert judged.verdict is Verdict.INVALID
    assert judged.certified
    assert [(each.index, each.code) for each in judged.violations] == [(1, "MESSAGE_NOT_OPEN")]
    assert judged.pieces[0].errors == ("MESSAGE_NOT_OPEN",)
    assert judged.pieces[0].members[0].errors == ((1, "MESSAGE_NOT_OPEN"),)


def test_one_record_a_second_covers_all_chunks_since_the_last(gateway: FakeGateway) -> None:
    heard: list[Recorded] = []
    run = gateway.events.begin("thread", "run", algorithm=Algorithm.PBFT, on_recorded=heard.append)
    for text in RUN[:3]:
        run.judge([text]).result(0)
    assert heard == []
    gateway.events.time += EVERY
    gateway.events.attend()
    run.judge([CLOSE]).result(0)
    run.judge([END]).result(0)
    end = run.end().result(0)
    assert end.code == "ok"
    assert [(each.position, each.count) for each in heard] == [(0, 3), (3, 2)]
    assert end.place.head == heard[-1].head
    head = first_head("thread", "run")
    for each in heard:
        head = next_head(head, decode_certificate(each.certificate).vote)
    assert head == end.place.head


def test_a_run_that_is_not_recorded_leaves_the_log_alone(gateway: FakeGateway) -> None:
    before = gateway.acknowledged
    run = gateway.events.begin("thread", "run", algorithm=Algorithm.MAJORITY)
    judged = run.judge(RUN).result(0)
    end = run.end().result(0)
    assert (end.code, gateway.acknowledged) == ("", before)
    assert end.place.head == chain(judged)


def test_another_process_continues_a_run_from_its_place(gateway: FakeGateway) -> None:
    first = gateway.events.begin("thread", "run")
    first.judge(RUN[:2]).result(0)
    place = first.end().result(0).place
    other = FakeGateway(gateway.genesis, principal="gateway")
    second = other.events.begin("thread", "run", place=place, recorded=False)
    assert second.judge(RUN[2:]).result(0).verdict is Verdict.VALID
    with pytest.raises(ValueError, match="place"):
        other.events.begin("thread", "other", place=RunPlace(0, b"\x00", place.head))


def test_more_events_than_a_chunk_has_are_several_pieces(gateway: FakeGateway) -> None:
    run = gateway.events.begin("thread", "run")
    judged = run.judge([START, OPEN, *[TEXT] * 600]).result(0)
    assert [piece.count for piece in judged.pieces] == [256, 256, 90]
    assert judged.verdict is Verdict.VALID
    assert run.end().result(0).code == "ok"


def test_calls_are_carried_out_in_their_order(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    run = gateway.events.begin("thread", "run")
    with monkeypatch.context() as before_any_turn:
        before_any_turn.setattr(gateway.events, "attend", lambda: None)
        futures = [run.judge([text]) for text in RUN]
    gateway.events.attend()
    assert [future.result(0).position for future in futures] == [0, 1, 2, 3, 4]
    assert all(future.result(0).verdict is Verdict.VALID for future in futures)


def test_without_a_quorum_there_is_no_verdict_and_the_run_stands(gateway: FakeGateway) -> None:
    run = gateway.events.begin("thread", "run")
    gateway.events.down = frozenset({1, 2})
    judged = run.judge([START, TEXT], wait=2.0).result(0)
    assert judged.verdict is Verdict.NONE
    assert not judged.certified
    assert judged.pieces[0].code == "PBFT_NO_CONSENSUS"
    assert [each.given for each in judged.pieces[0].members].count(Given.SILENT) == 2
    assert [each.code for each in judged.violations] == ["MESSAGE_NOT_OPEN"]
    assert run.position == 0
    gateway.events.down = frozenset()
    assert run.judge([START, OPEN]).result(0).verdict is Verdict.VALID
    assert run.end().result(0).code == "ok"


def test_a_question_that_is_asked_again_after_a_time_out_gets_the_votes(gateway: FakeGateway) -> None:
    salts = [bytes(16), b"\x01" * 16]  # a client that keeps a transcript repeats its salts
    run = gateway.events.begin("thread", "run")
    gateway.events.down = frozenset({1, 2})
    assert run.judge(RUN[:2], salts=salts, wait=2.0).result(0).verdict is Verdict.NONE
    gateway.events.down = frozenset()
    assert run.judge(RUN[:2], salts=salts, wait=2.0).result(0).verdict is Verdict.VALID


def test_a_member_that_votes_otherwise_on_the_second_asking_is_convicted(gateway: FakeGateway) -> None:
    salts = [bytes(16), b"\x01" * 16]
    run = gateway.events.begin("thread", "run")
    gateway.events.down = frozenset({2, 3})
    assert run.judge(RUN[:2], salts=salts, wait=2.0).result(0).verdict is Verdict.NONE
    gateway.events.down = frozenset()
    falsely(gateway, 1)
    assert run.judge(RUN[:2], salts=salts, wait=2.0).result(0).verdict is Verdict.VALID
    assert [evidence.member for evidence in gateway.events.evidence()] == ["r1"]


def test_a_member_without_the_state_gets_it(gateway: FakeGateway) -> None:
    run = gateway.events.begin("thread", "run", algorithm=Algorithm.UNANIMOUS)
    run.judge(RUN[:2]).result(0)
    fresh = FakeGateway(gateway.genesis, principal="gateway").events.judges[2]
    gateway.events.judges[2] = fresh
    assert run.judge(RUN[2:]).result(0).verdict is Verdict.VALID
    assert (fresh.votes, fresh.abstentions) == (1, 1)


A_LIE = ((0, "A_LIE"),)


def falsely(
    gateway: FakeGateway,
    *members: int,
    errors: tuple[tuple[int, str], ...] = A_LIE,
    also_honest: bool = False,
    since: int = 0,
) -> None:
    """Make these members vote falsely, all alike, with their real keys; or in both ways. `since`: the first
    event about which they lie."""

    def changed(index: int, body: bytes) -> list[bytes]:
        answers = decode_answers(body)
        if index not in members or not answers.turn:
            return [body]
        turn = canonical.decode(Turn, answers.turn)
        votes = [canonical.decode(Vote, each) for each in turn.votes]
        if any(vote.question.position < since for vote in votes):
            return [body]
        lies = [Vote(vote.question, vote.after, errors) for vote in votes]
        return [*([body] if also_honest else []), signed(gateway, index, lies)]

    gateway.events.changed = changed


def signed(gateway: FakeGateway, member: int, votes: list[Vote]) -> bytes:
    """The body of an answer with these votes."""
    turn = sign_turn(
        votes, cluster=cluster_id(gateway.genesis), epoch=0, member=member, secret=key_pair(f"r{member}")[1]
    )
    return canonical.encode(Answers(VERSION, 0, turn, ()))


@pytest.mark.parametrize("algorithm", [Algorithm.MAJORITY, Algorithm.PBFT])
def test_one_liar_changes_no_verdict(gateway: FakeGateway, algorithm: Algorithm) -> None:
    falsely(gateway, 1)
    run = gateway.events.begin("thread", "run", algorithm=algorithm)
    for text in RUN:
        judged = run.judge([text]).result(0)
        assert judged.verdict is Verdict.VALID
        assert judged.certified
    assert gateway.events.evidence() == ()


def test_a_member_that_contradicts_itself_is_convicted(gateway: FakeGateway) -> None:
    falsely(gateway, 1, also_honest=True)
    run = gateway.events.begin("thread", "run")
    assert run.judge(RUN).result(0).verdict is Verdict.VALID
    (evidence,) = gateway.events.evidence()
    assert evidence.member == "r1"
    assert convict(evidence.data, electorate(gateway)).member == 1


def test_answers_with_changed_bytes_count_for_nothing(gateway: FakeGateway) -> None:
    def changed(member: int, body: bytes) -> list[bytes]:
        return [body] if member else [body[:40] + bytes([body[40] ^ 1]) + body[41:], b"", body[:-1]]

    gateway.events.changed = changed
    run = gateway.events.begin("thread", "run", algorithm=Algorithm.UNANIMOUS)
    judged = run.judge([START], wait=0.1).result(0)
    assert judged.pieces[0].members[0].given is Given.SILENT
    assert judged.pieces[0].code == "INSUFFICIENT_NODES"


def test_what_cannot_be_judged_is_refused_at_once(gateway: FakeGateway) -> None:
    events = gateway.events
    with pytest.raises(AlgorithmNotOffered, match="raft"):
        events.begin("thread", "run", algorithm=Algorithm.RAFT)
    with pytest.raises(ValueError, match="thread"):
        events.begin("", "run")
    run = events.begin("thread", "run")
    with pytest.raises(RunIsLive):
        events.begin("thread", "run")
    for texts in ([], [START] * 5_000, [b"x" * (1024 * 1024 + 1)]):
        with pytest.raises(ValueError, match="texts"):
            run.judge(texts)
    with pytest.raises(ValueError, match="salts"):
        run.judge([START], salts=[b"short"])
    run.end().result(0)
    with pytest.raises(RunEnded):
        run.judge([START])
    assert events.live() == 0


def test_records_that_cannot_be_sent_are_tried_again(gateway: FakeGateway) -> None:
    run = gateway.events.begin("thread", "run")
    gateway.quorum = False
    run.judge([START]).result(0)
    gateway.events.time += EVERY
    gateway.events.attend()
    gateway.quorum = True
    assert run.end().result(0).code == "ok"


@pytest.mark.parametrize("error", [Overloaded("full"), OperationTooLarge("large")])
def test_records_that_are_refused_later_are_tried_again(gateway: FakeGateway, error: Exception) -> None:
    """A gateway's own thread finds out that its queue is full."""
    refused: Future[tuple[Result, ...]] = Future()
    refused.set_exception(error)
    submit = gateway.submit
    gateway.events._submit_operations = lambda _operations, wait: refused
    run = gateway.events.begin("thread", "run")
    run.judge([START]).result(0)
    gateway.events.time += EVERY
    gateway.events.attend()
    gateway.events._submit_operations = submit
    assert run.place.position == 0
    assert run.end().result(0).code == "ok"
    assert run.place.position == 1


def test_a_record_whose_outcome_was_lost_is_found_in_the_log(gateway: FakeGateway) -> None:
    heard: list[Recorded] = []
    run = gateway.events.begin("thread", "run", on_recorded=heard.append)
    gateway.mute = True
    run.judge([START, OPEN, *[TEXT] * 300]).result(0)
    gateway.events.time += EVERY
    gateway.events.attend()
    gateway.mute = False
    run.judge([CLOSE]).result(0)
    assert run.end().result(0).code == "ok"
    assert [(each.position, each.count) for each in heard] == [(0, 256), (256, 46), (302, 1)]


def test_a_callback_that_fails_keeps_no_record_and_no_other_callback(
    gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Recorded] = []

    def fails(record: Recorded) -> None:
        heard.append(record)
        raise RuntimeError("a program's own")

    first = gateway.events.begin("thread", "run", on_recorded=fails)
    second = gateway.events.begin("thread", "other", on_recorded=heard.append)
    for run in (first, second):
        run.judge(RUN[:2]).result(0)
    gateway.events.time += EVERY
    gateway.events.attend()
    gateway.events.attend()
    assert [first.end().result(0).code, second.end().result(0).code] == ["ok", "ok"]
    assert [(each.run, each.position, each.count) for each in heard] == [("run", 0, 2), ("other", 0, 2)]
    assert "a callback for records failed" in caplog.text
