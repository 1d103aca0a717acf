"""A member that judges: true votes under one signature, bounded work, and who gets none."""

from __future__ import annotations

from itertools import count

import msgspec
import pytest

from dtvn.events.asking import known_states
from dtvn.events.asking import member as module
from dtvn.events.asking.forms import Asked
from dtvn.events.judging import Abstention
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Peer
from tests.events.asking.support import (
    FRESH,
    GATEWAY,
    OPENED,
    STARTED,
    abstained,
    answers,
    asked,
    body,
    judge,
    votes,
)
from tests.support.table import table


def after(*texts: bytes) -> RuledRun:
    run = RuledRun(Limits())
    for text in texts:
        run.feed(text)
    return run


def test_the_votes_of_a_turn_share_one_signature() -> None:
    said = judge()
    said.put(GATEWAY, body(asked(), asked(OPENED, number=2)), 0)
    (answer,) = answers(said)
    first, second = votes(answer)
    assert first.turn is second.turn
    assert first.vote.valid
    assert first.vote.after == after(STARTED).state_digest()
    assert second.vote.errors == ((0, "FIRST_EVENT"),)
    assert not said.waiting


def test_a_run_goes_on_from_the_state_that_the_member_kept() -> None:
    said = judge()
    said.put(GATEWAY, body(asked()), 0)
    answers(said)
    said.put(GATEWAY, body(asked(OPENED, run=after(STARTED))), 0)
    (answer,) = answers(said)
    assert votes(answer)[0].vote.after == after(STARTED, OPENED).state_digest()


def test_a_state_that_is_reached_again_takes_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gateway that asks about a run makes the member keep the same state."""
    monkeypatch.setattr(known_states, "STATE_BYTES_KEPT", 3 * len(after(STARTED, OPENED).state))
    said = judge()
    said.put(GATEWAY, body(asked()), 0)
    for _ in range(8):
        said.put(GATEWAY, body(asked(OPENED, run=after(STARTED))), 0)
    assert [len(votes(answer)) for answer in answers(said)] == [9]


def test_states_are_kept_up_to_their_bytes_the_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_states, "STATE_BYTES_KEPT", len(after(STARTED, OPENED).state))
    said = judge()
    said.put(GATEWAY, body(asked(), asked(OPENED, number=2, run=after(STARTED))), 0)
    answers(said)
    assert abstained(asked(OPENED, run=after(STARTED)), said=said) == [Abstention.STATE_UNKNOWN]


def test_a_state_is_believed_by_its_digest_alone() -> None:
    run = after(STARTED)
    assert abstained(asked(OPENED, run=run)) == [Abstention.STATE_UNKNOWN]
    assert abstained(asked(OPENED, run=run, state=after().state)) == [Abstention.STATE_UNKNOWN]
    assert abstained(asked(OPENED, run=run, state=run.state + b"x")) == [Abstention.STATE_UNKNOWN]
    said = judge()
    said.put(GATEWAY, body(asked(OPENED, run=run, state=run.state)), 0)
    assert votes(answers(said)[0])[0].vote.valid


@table(
    ("field", "value", "reason"),
    [
        ("rules", bytes(32), Abstention.OTHER_RULES),
        ("before", bytes(32), Abstention.STATE_UNKNOWN),
        ("chunk", bytes(32), Abstention.OTHER_EVENTS),
        ("count", 2, Abstention.OTHER_EVENTS),
    ],
    count=4,
)
def test_a_question_that_names_something_else_gets_no_vote(
    field: str, value: bytes | int, reason: Abstention
) -> None:
    honest = asked()
    changed = msgspec.structs.replace(honest.question, **{field: value})
    assert abstained(msgspec.structs.replace(honest, question=changed)) == [reason]


def test_a_changed_event_gets_no_vote() -> None:
    honest = asked()
    for pair in ((bytes(16), STARTED + b" "), (b"\1" * 16, STARTED)):
        changed = msgspec.structs.replace(honest, events=(pair,))
        assert abstained(changed) == [Abstention.OTHER_EVENTS]


def test_only_who_may_record_a_verdict_gets_one() -> None:
    assert abstained(asked(), said=judge(lambda name: name != "gateway")) == [Abstention.NOT_PERMITTED]


def test_a_member_of_another_epoch_says_so() -> None:
    assert abstained(asked(), asked(number=2), epoch=4) == [Abstention.OTHER_EPOCH] * 2


def test_members_do_not_ask_each_other() -> None:
    assert judge().put(Peer("n1", 1), body(asked()), 0) is Reason.WRONG_KIND


def test_rules_that_break_end_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise RecursionError

    monkeypatch.setattr(module, "cast_vote", broken)
    assert abstained(asked()) == [Abstention.FAILED]


def test_a_malformed_body_is_reported_and_others_are_answered() -> None:
    said = judge()
    said.put(Peer("other", None), b"junk", 0)
    said.put(GATEWAY, body(asked()), 0)
    answered, malformed = said.turn(lambda: 0)
    assert [peer.name for peer, _body in answered] == ["gateway"]
    assert [peer.name for peer in malformed] == ["other"]


def many(number: int, start: int = 0) -> list[Asked]:
    return [asked(number=start + each) for each in range(number)]


def test_a_turn_ends_when_its_time_is_over() -> None:
    said = judge()
    said.put(GATEWAY, body(*many(100)), 0)
    ticks = count(step=module.TURN_TIME // 10)
    (answer,) = answers(said, lambda: next(ticks))
    assert 0 < len(votes(answer)) <= 10
    assert said.waiting


def test_a_turn_ends_after_its_bytes() -> None:
    said = judge()
    large = b'{"type":"CUSTOM","name":"n","value":"' + b"x" * (module.TURN_BYTES // 4) + b'"}'
    for number in range(8):
        said.put(GATEWAY, body(asked(large, number=number)), 0)
    assert len(votes(answers(said)[0])) == 4
    assert said.waiting


def test_principals_are_served_in_turn() -> None:
    """One question each: 500 of one do not delay that of another beyond the first."""
    said = judge()
    said.put(GATEWAY, body(*many(500)), 0)
    modest = Peer("modest", None)
    said.put(modest, body(asked()), 0)
    ticks = count(step=module.TURN_TIME // 6)
    answered = said.turn(lambda: next(ticks))[0]
    assert modest in [peer for peer, _body in answered]


def test_what_waits_of_one_principal_is_bounded() -> None:
    said = judge()
    one = body(asked(b"x" * 1_000_000))
    put = [said.put(GATEWAY, one, 0) for _ in range(20)]
    assert put.count(None) == module.WAITING_BYTES_MAX // len(one)
    assert put[-1] is Reason.BUSY
    assert said.put(Peer("other", None), one, 0) is None
    said.turn(lambda: 0)
    said.turn(lambda: 0)
    assert said.put(GATEWAY, one, 0) is None, "what was answered makes room, though others wait"
    small = judge()
    put = [small.put(GATEWAY, body(asked()), 0) for _ in range(module.WAITING_FRAMES_MAX + 1)]
    assert put[-2:] == [None, Reason.BUSY]


def test_useless_questions_are_limited_by_principal() -> None:
    said = judge()
    useless = body(*[asked(OPENED, number=each, run=after(STARTED)) for each in range(1_000)])
    refused = []
    for _ in range(module.USELESS_BURST // 1_000 + 2):
        refused.append(said.put(GATEWAY, useless, 0))
        while said.waiting:
            said.turn(lambda: 0)
    assert refused[0] is None
    assert refused[-1] is Reason.BUSY
    assert said.put(Peer("other", None), body(asked()), 0) is None
    assert said.put(GATEWAY, body(asked()), 30_000_000_000) is None


def test_the_kept_states_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    said = judge()
    said._states._states_max = 3
    for number in range(10):
        opened = OPENED.replace(b'"m"', b'"m%d"' % number)
        said.put(GATEWAY, body(asked(STARTED, opened, number=number)), 0)
        answers(said)
    assert len(said._states) == 3
    assert FRESH.state_digest() == RuledRun(Limits()).state_digest()


def test_a_run_that_began_under_the_rules_of_before_is_judged_by_them() -> None:
    """Version 2 dropped events of unknown types alone; version 3 drops an unknown outcome too."""
    finished = b'{"type":"RUN_FINISHED","threadId":"t","runId":"r","outcome":{"type":"later"}}'
    found = []
    for version in (2, 3):
        run = RuledRun(Limits(), drop_unknown=True, version=version)
        said = judge()
        assert said.put(GATEWAY, body(asked(STARTED, b'{"type":"LATER"}', finished, run=run)), 0) is None
        (answer,) = answers(said)
        (cast,) = votes(answer)
        found.append(cast.vote.errors)
    assert found == [((2, "FIELD_INVALID"),), ()]
