"""A gateway that asks: many questions in a frame, each again until it is answered."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.events.asking import Asker, MemberJudge
from dtvn.events.asking.asker import GATHER, LATE, LATE_MAX, OWED_MAX, RETRY
from dtvn.events.asking.forms import VERSION, Answers, decode_answers, decode_asks
from dtvn.events.judging import Abstention, Event, Question
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits
from dtvn.protocol import canonical
from tests.events.asking.support import EPOCH, GATEWAY, STARTED, judge, question
from tests.events.judging.support import electorate

ALL = frozenset(range(4))
OPEN = b'{"type":"TEXT_MESSAGE_START","messageId":"m","role":"assistant"}'


class Asking:
    """An asker connected to four members."""

    def __init__(self) -> None:
        self.asker = Asker(electorate(4, EPOCH))
        self.asker.connected(ALL)

    def ask(
        self, name: str = "r", members: Sequence[int] = range(4), run: RuledRun | None = None
    ) -> Question:
        run = run or RuledRun(Limits())
        events = [Event(bytes(16), STARTED if run.state == RuledRun(Limits()).state else OPEN)]
        made = question(run, events, name)
        self.asker.ask(members, made, events, lambda: run.state)
        return made

    def sent(self, now: int = 0) -> list[tuple[int, int]]:
        """(member, number of questions) of each frame."""
        return [(member, len(decode_asks(body).asks)) for member, body in self.asker.bodies(now)]


def answer(said: MemberJudge, body: bytes) -> bytes:
    said.put(GATEWAY, body, 0)
    ((_peer, answered),) = said.turn(lambda: 0)[0]
    return answered


def test_the_first_question_goes_at_once_the_next_ones_together() -> None:
    asking = Asking()
    asking.ask("r1", [0])
    assert asking.sent() == [(0, 1)]
    asking.ask("r2", [0])
    asking.ask("r3", [0])
    assert asking.sent(GATHER - 1) == []
    assert asking.asker.deadline() == GATHER
    assert asking.sent(GATHER) == [(0, 2)]


def test_a_vote_settles_its_question_and_the_next_goes_at_once() -> None:
    asking = Asking()
    made = asking.ask(members=[0])
    ((_member, body),) = asking.asker.bodies(0)
    (vote,) = asking.asker.receive(0, answer(judge(), body)).votes
    assert vote.vote.question == made
    asking.ask("next", [0])
    assert asking.sent(1) == [(0, 1)]


def test_a_lost_question_is_asked_again_with_the_state() -> None:
    asking = Asking()
    run = RuledRun(Limits())
    run.feed(STARTED)
    asking.ask(members=[0], run=run)
    assert asking.sent() == [(0, 1)]
    assert asking.sent(RETRY - 1) == []
    ((_member, body),) = asking.asker.bodies(RETRY)
    assert decode_asks(body).asks[0].state == run.state
    assert len(asking.asker.receive(0, answer(judge(), body)).votes) == 1


def test_a_member_that_is_behind_is_not_asked_again() -> None:
    asking = Asking()
    frames = []
    for place in range(3):
        asking.ask(f"r{place}", [0])
        frames += [body for _member, body in asking.asker.bodies(place * GATHER)]
    said = judge()
    asking.asker.receive(0, answer(said, frames[0]))
    assert asking.sent(RETRY - 1) == []
    assert asking.sent(2 * RETRY - 2) == [], "it answers, and has not come to these two"
    asking.asker.receive(0, answer(said, frames[2]))
    assert asking.sent(2 * RETRY - 1) == [(0, 1)], "it passed over one"


def test_a_state_that_is_still_unknown_is_no_vote() -> None:
    asking = Asking()
    run = RuledRun(Limits())
    run.feed(STARTED)
    made = asking.ask(members=[0], run=run)
    run.feed(OPEN)  # its state is not the question's any more
    said = judge()
    for _ in range(2):
        ((_member, body),) = asking.asker.bodies(0)
        answered = asking.asker.receive(0, answer(said, body))
    assert [each for each, _reason in answered.abstained] == [made]
    assert asking.sent(RETRY) == []


def test_what_is_settled_is_neither_sent_nor_repeated() -> None:
    asking = Asking()
    first = asking.ask("r1")
    asking.sent()
    second = asking.ask("r2")
    asking.asker.forget(first)
    asking.asker.forget(second)
    assert asking.sent(RETRY) == []
    assert asking.asker.deadline() is None


def test_a_new_connection_is_asked_what_the_old_one_owed() -> None:
    asking = Asking()
    asking.ask(members=[0, 1])
    asking.sent()
    asking.asker.connected(ALL - {1})
    assert asking.sent(GATHER) == []
    asking.asker.connected(ALL)
    assert asking.sent(2 * GATHER) == [(1, 1)]


def test_a_silent_member_is_owed_a_bounded_number_of_answers() -> None:
    asking = Asking()
    for number in range(OWED_MAX + 10):
        asking.ask(f"r{number}", [0])
    assert sum(count for _member, count in asking.sent(GATHER)) == OWED_MAX


def test_invalid_answers_are_counted_and_settle_nothing() -> None:
    asking = Asking()
    asking.ask(members=[0])
    ((_member, body),) = asking.asker.bodies(0)
    good = answer(judge(index=1), body)
    for bad in (good, b"", good[:-1]):  # the first is signed by another member
        assert asking.asker.receive(0, bad).votes == ()
    assert asking.asker.refused == [3, 0, 0, 0]
    assert asking.sent(RETRY) == [(0, 1)]


def test_an_answer_of_another_epoch_is_neither_wrong_nor_one() -> None:
    """The member has changed epochs before the gateway, or after it: it is asked again."""
    asking = Asking()
    asking.ask(members=[0])
    ((_member, body),) = asking.asker.bodies(0)
    told = decode_answers(answer(judge(), body))
    unsure = Answers(VERSION, EPOCH + 1, b"", ((1, Abstention.NOT_PERMITTED),))
    for other in (msgspec.structs.replace(told, epoch=EPOCH + 1), unsure):
        answered = asking.asker.receive(0, canonical.encode(other))
        assert (answered.votes, answered.abstained) == ((), [])
    assert asking.asker.refused == [0, 0, 0, 0]
    assert asking.sent(RETRY) == [(0, 1)]


def test_an_answer_to_a_withdrawn_question_counts_if_it_comes_in_time() -> None:
    asking = Asking()
    made = asking.ask(members=[0, 1, 2])
    bodies = dict(asking.asker.bodies(0))
    asking.asker.receive(0, answer(judge(), bodies[0]))
    asking.asker.forget(made)
    asking.asker.receive(1, answer(judge(index=1), bodies[1]))
    asking.asker.give_up(LATE - 1)
    assert asking.asker.counts.answered == {"n0": 1, "n1": 1}
    assert asking.asker.counts.unanswered == {}
    asking.asker.give_up(LATE)
    assert asking.asker.counts.unanswered == {"n2": 1}
    asking.asker.receive(2, answer(judge(index=2), bodies[2]))
    assert asking.asker.counts.answered == {"n0": 1, "n1": 1}, "it was counted already"


def test_a_question_that_was_never_sent_counts_for_nobody() -> None:
    asking = Asking()
    asking.asker.forget(asking.ask())
    asking.asker.give_up(LATE)
    assert asking.asker.counts.answered == asking.asker.counts.unanswered == {}


def _with_late_answers(count: int) -> Asking:
    """Calls that are over before their answers came."""
    asking = Asking()
    for number in range(count):
        made = asking.ask(f"r{number}", [0])
        asking.sent(number * GATHER // 1_000)
        asking.asker.forget(made)
    return asking


def test_a_bounded_number_of_late_answers_is_awaited() -> None:
    asking = _with_late_answers(LATE_MAX + 2)
    asking.asker.give_up(0)
    assert asking.asker.counts.unanswered == {"n0": 2}


def test_late_answers_are_bounded_where_nobody_reads_the_counts() -> None:
    asking = _with_late_answers(LATE_MAX + 2)
    asking.ask("next", [1])
    assert asking.sent() == [(1, 1)]
    assert asking.asker.awaited()["n0"] == LATE_MAX
