"""Excerpts of the events that broke a rule, with their neighbours."""

from __future__ import annotations

import pytest

from dtvn.events.rules import Violation, refused
from events.services import excerpts
from events.services.excerpts import CHARACTERS_MAX, EACH_MAX, Excerpt, Excerpts
from tests.support.table import table


def violation(index: int, sentence: str) -> Violation:
    return refused(index, "MESSAGE_NOT_OPEN", sentence).violations[0]


def taken(*calls: int, bad: dict[int, str]) -> list[Excerpt]:
    """The excerpts of a run whose calls have so many events; `bad`: index -> sentence."""
    made, position = Excerpts(), 0
    for count in calls:
        texts = [b"e%d" % index for index in range(position, position + count)]
        wrong = [index for index in bad if position <= index < position + count]
        found = [
            each for index in wrong for each in refused(index, "MESSAGE_NOT_OPEN", bad[index]).violations
        ]
        made.take(position, texts, found)
        position += count
    return made.found


@table("calls", [(9,), (4, 5), (5, 4), (6, 3), (1,) * 9], count=5)
def test_two_events_before_and_one_after_are_shown_however_they_came(calls: tuple[int, ...]) -> None:
    [found] = taken(*calls, bad={5: "why"})
    assert found == Excerpt(5, "why", ((3, "e3"), (4, "e4")), "e5", (6, "e6"))


def test_neighbours_are_those_of_the_run_and_not_the_last_that_were_shown() -> None:
    first, second = taken(20, 20, bad={1: "one", 30: "two"})
    assert first == Excerpt(1, "one", ((0, "e0"),), "e1", (2, "e2"))
    assert second.before == ((28, "e28"), (29, "e29"))


def test_an_offending_event_is_a_neighbour_of_the_next_and_the_last_has_none_after_it() -> None:
    first, second = taken(4, bad={2: "one", 3: "two"})
    assert (first.after, second.before, second.after) == ((3, "e3"), ((1, "e1"), (2, "e2")), None)


def test_of_several_violations_the_first_is_told() -> None:
    made = Excerpts()
    made.take(0, [b"e0"], [violation(0, "first"), violation(0, "second")])
    assert [each.message for each in made.found] == ["first"]


def test_a_bounded_number_of_shortened_events_is_kept() -> None:
    assert len(taken(EACH_MAX + 5, bad=dict.fromkeys(range(EACH_MAX + 5), "why"))) == EACH_MAX
    made = Excerpts()
    made.take(0, [b"x" * 10_000], [violation(0, "why")])
    assert made.found[0].text == "x" * (CHARACTERS_MAX - 1) + "…"


def test_beyond_a_number_of_runs_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excerpts, "RUNS_MAX", 2)
    made = Excerpts()
    made.take(0, [b"e0"], [violation(0, "why")])
    numbers = range(2**62, 2**62 + 3)  # of no row
    for number in numbers:
        excerpts.keep(number, made)
    assert [bool(excerpts.read(number)) for number in numbers] == [False, True, True]
    for number in numbers:
        excerpts.erase(number)
    assert not any(map(excerpts.read, numbers))
