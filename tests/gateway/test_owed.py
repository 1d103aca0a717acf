"""What is judged here alone is owed: the members judge it once a quorum is reached, also after a restart."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dtvn.events.asking.forms import decode_answers
from dtvn.events.config import Algorithm
from dtvn.events.judging import Electorate, Event, Vote
from dtvn.events.judging.turns import Turn
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits
from dtvn.events.transcript import check_transcript, compose
from dtvn.gateway import (
    AsyncDistributedValidator,
    Difference,
    DistributedValidator,
    Owing,
    SettledRun,
    ValidationResult,
    ValidatorError,
    validator_local,
    validator_runs,
)
from dtvn.gateway.owed import OwedEvent, OwedRun
from dtvn.gateway.owed_queue import OwedQueue
from dtvn.protocol import canonical
from dtvn.protocol.genesis import CAPABILITIES, cluster_id
from tests.events.rules.samples import event
from tests.fake_gateway import FakeGateway
from tests.gateway.test_events import falsely
from tests.host.support import make_genesis
from tests.waiting import wait_until

CUT = frozenset({2, 3})


def run_of(name: str, middle: str = "TC:m") -> list[bytes]:
    edges = (event(f"RS:{name}", threadId="t"), event(f"RF:{name}", threadId="t"))
    return [edges[0], event("TS:m"), event(middle), event("TE:m"), edges[1]]


GOOD, BAD = run_of("r"), run_of("r", "TC:other")


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")


def cut(gateway: FakeGateway) -> None:
    gateway.down = gateway.events.down = CUT


def heal(gateway: FakeGateway) -> None:
    gateway.down = gateway.events.down = frozenset()


def codes(result: ValidationResult) -> list[str]:
    return [each.code for each in result.errors]


def all_settled(validator: DistributedValidator) -> list[SettledRun]:
    wait_until(lambda: not validator.get_owed(), what="nothing is owed")
    return validator.get_settled()


def check_proved(gateway: FakeGateway, settled: SettledRun) -> None:
    """The certificates are those of a quorum over exactly these events, as the offline verifier finds."""
    pairs = zip(settled.result.salts, settled.events, strict=True)
    transcript = compose([Event(*pair) for pair in pairs], settled.result.certificates)
    cluster = cluster_id(gateway.genesis)
    voters = Electorate(cluster, 0, gateway.present.members, gateway.present.mode)
    checked = check_transcript(transcript, cluster, lambda _epoch: voters)
    assert checked.events == len(settled.events)


def made(gateway: FakeGateway, folder: Path | None = None, **more: object) -> DistributedValidator:
    return DistributedValidator(gateway, wait=0.2, owed_folder=folder, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("keeps", ["memory", "folder"])
def test_a_sequence_judged_here_is_judged_by_the_members_after_healing(
    gateway: FakeGateway, tmp_path: Path, keeps: str
) -> None:
    folder = tmp_path if keeps == "folder" else None
    told: list[SettledRun] = []
    with made(gateway, folder, on_settled=told.append) as validator:
        cut(gateway)
        found = validator.validate_sequence(BAD, thread="t", run="r")
        assert found.owing is (Owing.ON_DISK if folder else Owing.IN_MEMORY)
        assert ("also if this process ends" in found.warnings[0].message) is (folder is not None)
        assert ("if this process still runs" in found.warnings[0].message) is (folder is None)
        [waits] = validator.get_owed()
        assert (waits.id, waits.thread, waits.run, waits.events) == (found.owed_id, "t", "r", 5)
        assert validator.get_metrics().owed == 1
        validator.forget_settled(waits.id)
        assert validator.get_owed() == [waits], "it is not settled yet"
        heal(gateway)
        [settled] = all_settled(validator)
        assert (settled.id, settled.run, settled.position) == (found.owed_id, "r", 0)
        assert settled.events == tuple(BAD)
        assert (settled.here, codes(settled.result)) == ({2: "MESSAGE_NOT_OPEN"}, ["MESSAGE_NOT_OPEN"])
        assert (settled.result.certified, settled.result.owing) == (True, Owing.NOTHING)
        assert (settled.differs, settled.differences) == (False, ())
        assert settled.made < settled.settled
        wait_until(lambda: told == [settled], what="the callback has heard")
        check_proved(gateway, settled)
        metrics = validator.get_metrics()
        assert (metrics.owed, metrics.owed_settled, metrics.owed_differences) == (0, 1, 0)
        validator.forget_settled(settled.id)
        assert validator.get_settled() == []


def test_owed_runs_are_judged_by_the_algorithms_that_were_asked_for(gateway: FakeGateway) -> None:
    """All must be reached where all were asked for; the other runs do not wait for that one."""
    with made(gateway) as validator:
        cut(gateway)
        for name, algorithm in (("a", Algorithm.UNANIMOUS), ("b", None), ("c", Algorithm.MAJORITY)):
            found = validator.validate_sequence(run_of(name), thread="t", run=name, algorithm=algorithm)
            assert found.owed_id
        gateway.down = gateway.events.down = frozenset({3})
        wait_until(lambda: len(validator.get_settled()) == 2, what="two were judged")
        assert [each.run for each in validator.get_owed()] == ["a"]
        heal(gateway)
        settled = all_settled(validator)
    assert [each.run for each in settled] == ["a", "b", "c"]
    assert all(each.result.certified for each in settled)


def test_members_that_say_otherwise_are_listed_by_event_with_both_codes(gateway: FakeGateway) -> None:
    with made(gateway) as validator:
        cut(gateway)
        assert not validator.validate_sequence(BAD, thread="t", run="r").is_valid
        falsely(gateway, 0, 1, 2, errors=((0, "A_LIE"),))
        heal(gateway)
        [settled] = all_settled(validator)
        assert settled.differences == (Difference(0, "", "A_LIE"), Difference(2, "MESSAGE_NOT_OPEN", ""))
        assert settled.differs
        assert validator.get_metrics().owed_differences == 1


def test_rules_of_another_release_here_are_a_difference(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = Limits(event_bytes=256)

    def stricter(_limits: Limits, *more: bytes) -> RuledRun:
        return RuledRun(strict, *more)

    monkeypatch.setattr("dtvn.gateway.validator_local.RuledRun", stricter)
    with made(gateway) as validator:
        cut(gateway)
        found = validator.validate_sequence([*GOOD[:4], event("CU", value="x" * 300)], thread="t", run="r")
        assert not found.is_valid
        heal(gateway)
        [settled] = all_settled(validator)
        assert settled.result.is_valid
        assert settled.differences == (Difference(4, found.errors[0].code, ""),)


def test_what_is_owed_survives_the_validator_and_is_judged_by_the_next(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    with made(gateway, tmp_path) as validator:
        cut(gateway)
        first = validator.validate_sequence(GOOD, thread="t", run="r")
    with pytest.raises(ValidatorError, match="open while it runs"):
        validator.get_owed()
    with made(gateway, tmp_path) as validator:
        assert [each.id for each in validator.get_owed()] == [first.owed_id]
        heal(gateway)
        [settled] = all_settled(validator)
        assert (settled.id, settled.result.certified) == (first.owed_id, True)
    with made(gateway, tmp_path) as validator:
        assert validator.get_settled() == [settled]


def test_one_validator_at_a_time_has_a_folder(gateway: FakeGateway, tmp_path: Path) -> None:
    with made(gateway, tmp_path), pytest.raises(ValidatorError, match="a folder of its own"):
        made(gateway, tmp_path).start()


def test_the_first_call_of_a_cut_is_judged_here_and_owed(gateway: FakeGateway) -> None:
    """The links are up still: the members were asked, and a quorum of them was silent."""
    with made(gateway) as validator:
        gateway.events.down = CUT
        found = validator.validate_sequence(GOOD)
        assert (found.is_valid, found.owing, codes(found)) == (True, Owing.IN_MEMORY, [])
        assert [each.code for each in found.warnings] == ["LOCAL_ONLY"]
        event = validator.validate_event(GOOD[0], thread="u", run="single")
        assert (event.is_valid, event.owing) == (True, Owing.IN_MEMORY)
        gateway.down = CUT
        assert [each.id for each in validator.get_owed()] == [found.owed_id, event.owed_id]
        assert validator.get_metrics().local_fallbacks == 2
        validator.get_circuit_breaker("consensus").reset()
        heal(gateway)
        settled = all_settled(validator)
        assert [(each.run, each.result.certified) for each in settled] == [("r", True), ("single", True)]


def test_members_that_answer_and_differ_have_decided(gateway: FakeGateway) -> None:
    with made(gateway) as validator:
        falsely(gateway, 0, 1)
        found = validator.validate_sequence(GOOD)
        assert (found.is_valid, found.owing, validator.get_owed()) == (False, Owing.NOTHING, [])
        assert codes(found)[0] == "PBFT_NO_CONSENSUS"
        assert found.errors[0].message == "Only 2 of 3 votes are equal."


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_owed_bears_the_names_that_its_events_give(gateway: FakeGateway, whole: bool) -> None:
    with made(gateway) as validator:
        cut(gateway)
        if whole:
            validator.validate_sequence(run_of("mine"))
        else:
            validator.validate_event(run_of("mine")[0])
        [waits] = validator.get_owed()
        assert (waits.thread, waits.run) == ("t", "mine")
        heal(gateway)
        [settled] = all_settled(validator)
        assert (settled.thread, settled.run, settled.result.certified) == ("t", "mine", True)


def test_a_name_in_an_event_that_no_run_can_have_is_replaced(gateway: FakeGateway) -> None:
    with made(gateway) as validator:
        cut(gateway)
        validator.validate_sequence(run_of("x" * 1_025))
        [waits] = validator.get_owed()
        assert (waits.thread, waits.run[:4]) == ("t", "run-")


def test_two_validators_of_one_gateway_may_judge_the_same_run(gateway: FakeGateway) -> None:
    with made(gateway) as first, made(gateway) as second:
        assert first.validate_event(GOOD[0]).certified
        assert second.validate_event(GOOD[0]).certified


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_judged_here_while_the_validator_is_stopped_is_not_owed(
    gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """Its folder is closed by then, and may belong to another validator."""
    validator = made(gateway, tmp_path)
    judged_here = validator_local._judged_here

    def stopped_meanwhile(*given: Any) -> Any:
        validator.stop()
        return judged_here(*given)

    monkeypatch.setattr(validator_local, "_judged_here", stopped_meanwhile)
    validator.start()
    cut(gateway)
    if not whole:
        found = validator.validate_event(GOOD[0])
        assert [each.message for each in found.errors] == ["the validator was stopped"]
        return
    found = validator.validate_sequence(GOOD)
    assert (found.owing, found.owed_id, found.is_valid) == (Owing.REFUSED, 0, True)
    assert [each.message for each in found.warnings][1:] == ["The validator was stopped."]


def test_a_full_queue_refuses_the_newest_and_says_so(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dtvn.gateway.owed_queue.RESULTS_MAX", 1)
    with made(gateway) as validator:
        cut(gateway)
        kept = validator.validate_sequence(GOOD, thread="t", run="kept")
        found = validator.validate_sequence(GOOD, thread="t", run="refused")
        assert (found.is_valid, found.owing, found.owed_id) == (True, Owing.REFUSED, 0)
        assert [each.code for each in found.warnings] == ["LOCAL_ONLY", "NOT_OWED"]
        assert found.warnings[0].message.endswith("The members will not judge it later.")
        assert found.warnings[1].message == "1 results wait for the members' judgement already."
        assert found.warnings[1].suggestion
        heal(gateway)
        assert [each.id for each in all_settled(validator)] == [kept.owed_id]


@pytest.mark.parametrize("field", ["thread", "run"])
def test_a_name_that_the_members_refuse_gets_no_verdict_here_and_fills_no_queue(
    gateway: FakeGateway, field: str
) -> None:
    """Whether a quorum answers or not."""
    too_long = {"thread": "t", "run": "r"} | {field: "x" * 1_025}
    with made(gateway) as validator:
        online = validator.validate_sequence(GOOD, **too_long)
        cut(gateway)
        found = validator.validate_sequence(GOOD, **too_long)
        assert codes(found) == codes(online)
        assert field in found.errors[0].message
        assert (found.owing, found.owed_id, validator.get_owed()) == (Owing.NOTHING, 0, [])


def test_the_events_of_a_run_are_judged_before_the_next_one(gateway: FakeGateway) -> None:
    """Nobody asks meanwhile: they are judged by themselves, and the run goes on."""
    with made(gateway) as validator:
        assert validator.validate_event(BAD[0], thread="t", run="r").certified
        cut(gateway)
        results = [validator.validate_event(text) for text in BAD[1:4]]
        assert [each.is_valid for each in results] == [True, False, True]
        assert len({each.owed_id for each in results}) == 1, "one run"
        heal(gateway)
        [settled] = all_settled(validator)
        assert (settled.position, settled.events) == (1, tuple(BAD[1:4]))
        assert (settled.here, settled.differences) == ({2: "MESSAGE_NOT_OPEN"}, ())
        assert validator.validate_event(BAD[4]).certified
        assert gateway.events.figures().events == {"valid": 2, "invalid": 3}


def test_the_events_of_a_run_are_judged_after_a_restart_from_where_it_stood(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    with made(gateway, tmp_path) as validator:
        assert validator.validate_event(BAD[0], thread="t", run="r").certified
        cut(gateway)
        for text in BAD[1:4]:
            validator.validate_event(text)
    heal(gateway)
    with made(gateway, tmp_path) as validator:
        [settled] = all_settled(validator)
        assert settled.events[-3:] == tuple(BAD[1:4])
        assert (settled.position + len(settled.events), settled.result.certified) == (4, True)
        assert (settled.here, settled.differences) == ({2: "MESSAGE_NOT_OPEN"}, ())


def test_a_run_that_the_log_does_not_take_keeps_few_events_and_goes_on_after_a_restart(
    gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name was recorded before, so that the log never covers its events."""
    monkeypatch.setattr("dtvn.gateway.validator_local.RECENT_MAX", 2)
    other = gateway.events.begin("t", "r")
    other.judge(GOOD).result(1)
    assert other.end().result(1).code == "ok"
    with made(gateway, tmp_path) as validator:
        for text in BAD[:4]:
            assert validator.validate_event(text, thread="t", run="r").certified
        assert len(validator._recent) <= 2
        cut(gateway)
        assert validator.validate_event(BAD[4]).owing is Owing.ON_DISK
    heal(gateway)
    with made(gateway, tmp_path) as validator:
        [settled] = all_settled(validator)
        assert (settled.position, settled.events) == (4, (BAD[4],))
        assert (settled.result.is_valid, settled.result.certified, settled.differs) == (True, True, False)


def test_no_verdict_in_time_leaves_it_owed_and_is_tried_again(gateway: FakeGateway) -> None:
    with made(gateway) as validator:
        cut(gateway)
        validator.validate_sequence(GOOD, thread="t", run="r")
        asked = threading.Event()
        changed = gateway.events.changed

        def silent(member: int, body: bytes) -> list[bytes]:
            asked.set()
            return []

        gateway.events.changed = silent
        heal(gateway)
        assert asked.wait(10)
        assert validator.get_owed()
        gateway.events.changed = changed
        [settled] = all_settled(validator)
        assert settled.result.certified


def test_a_run_that_gets_no_verdict_keeps_no_other_waiting(gateway: FakeGateway) -> None:
    with made(gateway) as validator:
        cut(gateway)
        first = validator.validate_sequence(run_of("unanswered"), thread="t", run="unanswered")
        second = validator.validate_sequence(GOOD, thread="t", run="r")
        changed = gateway.events.changed
        gateway.events.changed = lambda member, body: [] if b"unanswered" in body else changed(member, body)
        heal(gateway)
        wait_until(lambda: bool(validator.get_settled()), what="the second is settled")
        assert [each.id for each in validator.get_settled()] == [second.owed_id]
        assert [each.id for each in validator.get_owed()] == [first.owed_id]
        gateway.events.changed = changed
        assert [each.id for each in all_settled(validator)] == [first.owed_id, second.owed_id]


def test_a_decision_that_cannot_change_settles_without_a_certificate(gateway: FakeGateway) -> None:
    with made(gateway) as validator:
        cut(gateway)
        validator.validate_sequence(GOOD, thread="t", run="r", algorithm=Algorithm.UNANIMOUS)
        falsely(gateway, 1, 2)
        heal(gateway)
        [settled] = all_settled(validator)
        assert (settled.result.certified, settled.result.is_valid) == (False, False)
        assert settled.differences == (Difference(0, "", "A_LIE"),)


def test_a_callback_that_fails_ends_nothing(gateway: FakeGateway) -> None:
    def fails(_settled: SettledRun) -> None:
        raise ValueError("so")

    with made(gateway, on_settled=fails) as validator:
        cut(gateway)
        for name in ("a", "b"):
            validator.validate_sequence(run_of(name), thread="t", run=name)
        heal(gateway)
        assert [each.run for each in all_settled(validator)] == ["a", "b"]


@pytest.mark.asyncio
async def test_an_event_loop_owes_too(gateway: FakeGateway, tmp_path: Path) -> None:
    heard = threading.Event()

    def listen(_settled: SettledRun) -> None:
        heard.set()

    async with AsyncDistributedValidator(
        gateway, wait=0.2, owed_folder=tmp_path, on_settled=listen
    ) as validator:
        cut(gateway)
        found = await validator.validate_sequence(GOOD, thread="t", run="r")
        assert found.owing is Owing.ON_DISK
        heal(gateway)
        wait_until(heard.is_set, what="the members have judged")
        assert [each.id for each in validator.get_settled()] == [found.owed_id]


def silent_from(gateway: FakeGateway, position: int) -> None:
    """No answer about events from this index on arrives."""

    def changed(_member: int, body: bytes) -> list[bytes]:
        answers = decode_answers(body)
        turn = canonical.decode(Turn, answers.turn) if answers.turn else None
        asked = [canonical.decode(Vote, each).question.position for each in turn.votes] if turn else []
        return [] if any(at >= position for at in asked) else [body]

    gateway.events.changed = changed


def test_events_whose_last_ones_get_no_votes_are_asked_again_from_there(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is certified stays so; the next event gets no verdict of theirs before the earlier ones have."""
    monkeypatch.setattr(validator_runs, "CALL_EVENTS_MAX", 2)
    with made(gateway) as validator:
        cut(gateway)
        for text in GOOD[:3]:
            validator.validate_event(text)
        silent_from(gateway, 2)
        heal(gateway)
        following = validator.validate_event(GOOD[3])
        assert (following.is_valid, following.certified, following.owed_id) == (True, False, 1)
        assert [(each.events, each.id) for each in validator.get_owed()] == [(4, 1)]
        silent_from(gateway, 99)
        [settled] = all_settled(validator)
        assert (settled.position, settled.events, settled.differences) == (0, tuple(GOOD[:4]), ())
        assert (settled.result.certified, settled.result.is_valid) == (True, True)
        check_proved(gateway, settled)
        last = validator.validate_event(GOOD[4])
        assert (last.certified, last.pieces[0].position) == (True, 4)


def test_an_owed_run_by_an_algorithm_that_is_not_offered_settles_so(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    """It was judged here before the settings of the gateway changed."""
    event_of = OwedEvent(0, bytes(16), GOOD[0], "")
    made_at = datetime(2026, 11, 29, tzinfo=UTC)
    queue = OwedQueue(tmp_path)
    queue.add(OwedRun(0, "t", "r", "raft", None, None, made_at, (event_of,)))
    queue.close()
    with made(gateway, tmp_path) as validator:
        [settled] = all_settled(validator)
    assert [each.code for each in settled.result.errors] == ["algorithm_not_offered"]
    assert (settled.events, settled.position, settled.made) == ((GOOD[0],), 0, made_at)
    assert (settled.differs, settled.result.event_count, settled.result.certified) == (False, 1, False)
