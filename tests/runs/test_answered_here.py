"""What the rules of this process answered alone, and what the members said of it later."""

from __future__ import annotations

import pytest
from django.utils import timezone

from dtvn.events.judging import Event
from dtvn.gateway import Difference
from events.services.answered_here import TOO_LONG, AnsweredHere


def events(*numbers: int) -> list[Event]:
    return [Event(bytes([number]) * 16, b"event %d" % number) for number in numbers]


@pytest.fixture
def here() -> AnsweredHere:
    """Events 0 and 1 were certified; 2 and 3 were answered here, and 3 was refused."""
    made = AnsweredHere(1_000)
    made.certify(events(0, 1), {}, 0)
    made.answer(events(2, 3), {3: "BAD"}, 2)
    return made


def test_only_the_last_events_of_a_run_wait(here: AnsweredHere) -> None:
    assert (here.state, here.code, here.size) == ("waiting", "BAD", 28)
    assert (here.waiting, here.codes) == (events(2, 3), {2: "", 3: "BAD"})
    assert here.unwritten == (0, events(0, 1, 2, 3)), "the members judge it from its first event on"
    here.written(3)
    assert here.unwritten == (3, events(3))


def test_the_code_is_that_of_the_first_refusal_and_the_time_that_of_the_first_answer(
    here: AnsweredHere,
) -> None:
    first = here.at
    assert first is not None
    here.answer(events(4, 5), {5: "LATER", 4: "LATE"}, 4)
    assert (here.code, here.at, len(here.waiting)) == ("BAD", first, 4)
    here.certify(events(2, 3, 4, 5), {3: "BAD", 4: "LATE", 5: "LATER"}, 2)
    assert (here.state, here.differences, here.waiting) == ("settled", [], [])
    assert (here.at, here.settled_at is not None) == (first, True)
    here.answer(events(6, 7), {7: "NEXT"}, 6)
    assert here.at is not None
    assert here.at > first, "of the newest time"
    assert (here.state, here.code) == ("waiting", "NEXT")


def test_events_on_which_the_members_do_not_agree_are_listed(here: AnsweredHere) -> None:
    here.certify(events(2), {2: "WORSE"}, 2)
    assert (here.state, here.waiting) == ("waiting", events(3))
    here.certify(events(3), {}, 3)
    assert here.state == "settled"
    assert here.differences == [Difference(2, "", "WORSE"), Difference(3, "BAD", "")]


def test_a_decision_without_a_certificate_settles_all_that_waits(here: AnsweredHere) -> None:
    here.settle({3: "BAD"})
    assert (here.state, here.differences, here.codes) == ("settled", [], {})


def test_what_the_members_will_not_judge_is_refused_once_and_says_when_it_was_answered(
    here: AnsweredHere,
) -> None:
    at = here.at
    here.refuse("no room")
    assert (here.state, here.at, here.waiting, here.unwritten[1]) == ("refused", at, [], [])
    assert (here.withdraw(), here.state, here.withdraw()) == ("no room", "", "")


def test_of_a_run_that_was_settled_before_a_refused_call_leaves_that(here: AnsweredHere) -> None:
    here.certify(events(2, 3), {3: "BAD"}, 2)
    here.answer(events(4), {}, 4)
    here.refuse("no room")
    assert (here.withdraw(), here.state) == ("no room", "settled")


def test_earlier_events_are_kept_within_bounds_unless_they_wait() -> None:
    here = AnsweredHere(20)
    here.answer(events(0, 1, 2), {}, 0)
    assert len(here.waiting) == 3, "longer than the bound, and waiting"
    here.certify(events(0, 1), {}, 0)
    assert here.waiting == events(2)
    here.certify(events(2), {}, 2)
    here.answer(events(3), {}, 3)
    assert (here.state, here.refusal, here.waiting) == ("refused", TOO_LONG, [])


def test_a_restored_run_is_kept_within_the_same_bounds() -> None:
    here = AnsweredHere(20)
    here.restore(events(0, 1, 2), {}, timezone.now(), "")
    here.certify(events(0, 1, 2), {}, 0)
    here.answer(events(3), {}, 3)
    assert (here.state, here.refusal) == ("refused", TOO_LONG)


def test_events_that_do_not_follow_those_kept_are_refused(here: AnsweredHere) -> None:
    here.answer(events(5), {}, 5)
    assert (here.state, here.refusal) == ("refused", TOO_LONG)


def test_of_a_restored_run_only_what_was_answered_here_is_compared(here: AnsweredHere) -> None:
    again = AnsweredHere()
    assert here.at is not None
    again.restore(events(0, 1, 2, 3), {2: "", 3: "BAD"}, here.at, "BAD")
    assert (again.state, again.at, again.code, again.unwritten) == ("waiting", here.at, "BAD", (4, []))
    assert again.waiting == events(0, 1, 2, 3)
    again.certify(events(0, 1, 2, 3), {0: "WORSE", 2: "WORSE", 3: "BAD"}, 0)
    assert (again.state, again.differences) == ("settled", [Difference(2, "", "WORSE")])
