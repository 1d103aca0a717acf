"""The last hour of every pair, in bounded memory."""

from __future__ import annotations

from tests.network_watch.seen import look
from validators.network_watch.hearing import State
from validators.network_watch.spans import CHANGES_MAX, HOUR, UNSEEN_MAX, Hour

PAIR = ("venue", "promoter")


def spans(hour: Hour) -> list[tuple[str, float, float]]:
    return [(span.state.value, span.start, span.end) for span in hour.spans(PAIR)]


def test_silence_begins_with_the_last_word_that_was_heard() -> None:
    hour = Hour()
    for at in (1_000.0, 1_010.0):
        hour.add(look(at))
    hour.add(look(1_013.5, PAIR, age=3.5))
    hour.add(look(1_014.5, PAIR, age=4.5))
    hour.add(look(1_020.0))
    assert spans(hour) == [
        ("heard", 1_000.0, 1_010.0),
        ("silent", 1_010.0, 1_020.0),
        ("heard", 1_020.0, 1_020.0),
    ]
    assert hour.since(PAIR) == 1_020.0
    assert hour.since(("promoter", "nobody")) is None


def test_a_first_look_knows_how_long_it_has_been_silent() -> None:
    hour = Hour()
    hour.add(look(10_000.0, PAIR, age=600.0))
    assert spans(hour) == [("silent", 9_400.0, 10_000.0)]


def test_a_member_that_could_not_report_its_silence_does_so_later() -> None:
    hour = Hour()
    hour.add(look(100.0))
    hour.add(look(106.0, unseen=["venue"]))
    hour.add(look(110.0, PAIR, age=8.0))
    assert spans(hour) == [("heard", 100.0, 102.0), ("silent", 102.0, 110.0)]


def test_nothing_is_known_of_a_time_without_looks() -> None:
    hour = Hour()
    hour.add(look(100.0))
    hour.add(look(101.0 + UNSEEN_MAX))
    assert spans(hour) == [("unknown", 100.0, 116.0), ("heard", 116.0, 116.0)]


def test_only_the_last_hour_and_so_many_changes_are_kept() -> None:
    hour = Hour()
    hour.add(look(0.0))
    for at in range(1, int(HOUR) + 100, 10):
        hour.add(look(float(at)))
    assert [(state, start) for state, start, _ in spans(hour)] == [("heard", 91.0)]
    for turn in range(CHANGES_MAX * 2):
        at = 4_000.0 + 10 * turn
        hour.add(look(at, *[PAIR] * (turn % 2), age=0.5 + 3))
    assert len(hour.spans(PAIR)) == CHANGES_MAX


def test_a_former_member_is_forgotten_and_a_clock_set_back_begins_anew() -> None:
    hour = Hour()
    hour.add(look(100.0))
    hour.add(look(101.0, names=("venue", "seller")))
    assert hour.spans(PAIR) == []
    hour.add(look(50.0))
    assert spans(hour) == [("heard", 50.0, 50.0)]
    assert hour.spans(("venue", "seller"))[0].state is State.HEARD
