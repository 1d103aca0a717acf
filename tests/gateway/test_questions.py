"""Status polls: which answers can be compared with each other."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.api.helper.service import POLL_AT_REST
from dtvn.gateway.questions import REST_AFTER, STATUS_EVERY, Questions
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire.envelope import decode_envelope

BOTH = frozenset({0, 1})
HOUR = 3_600 * STATUS_EVERY


class Poll:
    """One poll of `members`, answered one by one."""

    def __init__(self, questions: Questions, now: int, members: frozenset[int] = BOTH) -> None:
        self.questions, self.now = questions, now
        self.numbers = {member: _number(frame) for member, frame in questions.poll(members, now)}

    def answer(self, member: int, **fields: Any) -> None:
        text = msgspec.json.encode(fields).decode()
        answer = m.Answer(number=self.numbers[member], code="", text=text)
        self.questions.on_answer(member, canonical.encode(answer), self.now)


def _number(frame: bytes) -> int:
    return canonical.decode(m.Query, decode_envelope(frame)[0].body).number


def sequences(questions: Questions) -> list[int]:
    return [status.report.sequence for status in questions.settled]


def test_no_member_answers_for_another() -> None:
    """Numbers of questions follow each other, so that a liar knows those to the others."""
    questions = Questions(2)
    poll = Poll(questions, 0)
    poll.numbers[1], told = poll.numbers[0], poll.numbers[1]
    poll.answer(1, sequence=7, view=9)
    assert [status.report.sequence for status in questions.statuses] == [0, 0]
    poll.numbers[1] = told
    poll.answer(0, sequence=100)
    poll.answer(1, sequence=100)
    assert sequences(questions) == [100, 100]
    number, _frame = questions.ask(0, "proof", (), 0, STATUS_EVERY)
    lie = canonical.encode(m.Answer(number=number, code="", text="{}"))
    assert questions.on_answer(1, lie, 0) is None
    answered = questions.on_answer(0, lie, 0)
    assert answered is not None
    assert answered.question == number


def pause(questions: Questions, now: int) -> int:
    """Nanoseconds from a poll of both members now, which answer at once, to the next poll."""
    poll = Poll(questions, now)
    for member in BOTH:
        poll.answer(member)
    return questions.deadline() - now


def test_at_rest_members_are_polled_less_often_and_at_once_when_it_ends() -> None:
    questions = Questions(2, poll_at_rest=POLL_AT_REST)
    assert pause(questions, HOUR) == POLL_AT_REST
    asked_at = HOUR + 2 * STATUS_EVERY
    questions.used(asked_at)
    assert questions.deadline() <= asked_at
    assert pause(questions, asked_at) == STATUS_EVERY
    questions.ask(0, "stats", (), asked_at + STATUS_EVERY, 1)
    questions.overdue(asked_at + 2 * STATUS_EVERY)
    assert pause(questions, asked_at + REST_AFTER) == STATUS_EVERY, "a question is a use too"
    assert pause(questions, asked_at + STATUS_EVERY + REST_AFTER) == POLL_AT_REST
