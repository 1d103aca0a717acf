"""Lines between members that are slow or lose messages are called that, in words that stay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dtvn.watch import Lines, MemberReport
from dtvn.watch.lines import CLEAR, LATE, NAMED_MAX, SLOW_MS

LOSS = 0.11
"""Share of late answers, of pings and their answers, where one segment of twenty is lost."""


def reports(
    round_trip: float, late: float, *, names: tuple[str, ...] = ("venue", "seller")
) -> list[MemberReport]:
    return [
        MemberReport(
            id=name,
            round_trips={other: round_trip for other in names if other != name},
            late={other: late for other in names if other != name},
        )
        for name in names
    ]


def test_a_slow_line_that_loses_messages_is_called_that_with_its_figures() -> None:
    lines = Lines()
    lines.add(reports(612.0, LOSS), 0.0)
    assert lines.sentences() == [
        "the line between venue and seller is slow and delays or loses messages "
        "(round trip 500 ms, 10 % of answers late)"
    ]
    assert [*lines.bad()] == [("venue", "seller")]


@given(st.lists(st.tuples(st.floats(560.0, 640.0), st.floats(LATE + 0.01, 0.19)), min_size=1, max_size=200))
def test_figures_that_vary_change_no_sentence(looks: list[tuple[float, float]]) -> None:
    """One look a second: a sentence that changes with each is not read."""
    lines, said = Lines(), set()
    for second, (round_trip, late) in enumerate([(600.0, LOSS), *looks]):
        lines.add(reports(round_trip, late), float(second))
        said.add(tuple(lines.sentences()))
    assert len(said) == 1


def test_it_is_told_until_nothing_was_lost_for_ten_minutes() -> None:
    lines = Lines()
    lines.add(reports(5.0, LOSS), 0.0)
    for second in range(1, round(CLEAR) + 1):
        lines.add(reports(5.0, 0.0), float(second))
        assert len(lines.sentences()) == 1
    lines.add(reports(5.0, 0.0), CLEAR + 1.0)
    assert lines.sentences() == []


def test_good_lines_are_not_told_of() -> None:
    lines = Lines()
    lines.add(reports(SLOW_MS, LATE), 0.0)
    assert lines.sentences() == []


def test_many_bad_lines_are_counted() -> None:
    lines = Lines()
    lines.add(reports(900.0, 0.0, names=("a", "b", "c", "d")), 0.0)
    assert len(lines.sentences()) == NAMED_MAX
    assert lines.sentences()[-1] == "4 more lines are bad"
