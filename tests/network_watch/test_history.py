"""The history of cuts: what becomes a row, what a restart finds, and how much is kept."""

from __future__ import annotations

import pytest

from tests.network_watch.seen import NAMES, between, look
from validators.network_watch.cuts import Cut, cut_of
from validators.network_watch.hearing import Pair, State
from validators.network_watch.history import (
    SETTLED,
    WARM_UP,
    History,
    moment,
    rows,
)

pytestmark = pytest.mark.django_db

NOW = 1_800_000_000.0
PAIR = between(["venue"], ["promoter"])
HALVES = between(["venue", "seller"], ["promoter", "auditor"])


def cut(at: float, *silent: Pair) -> Cut | None:
    hearing = look(at, *silent)
    return cut_of(hearing, {pair: at - 3 for pair in hearing.pairs() if hearing.state(pair) is State.SILENT})


def noted(history: History, at: float, *silent: Pair) -> None:
    history.note(cut(at, *silent), at)


def told() -> list[tuple[str, float, float | None]]:
    return [
        (str(row), row.started_at.timestamp() - NOW, row.ended_at and row.ended_at.timestamp() - NOW)
        for row in rows()
    ]


def test_links_that_break_one_after_the_other_are_one_cut() -> None:
    history = History()
    noted(history, NOW, *PAIR)
    noted(history, NOW + 1, *HALVES)
    noted(history, NOW + 60, *HALVES)
    noted(history, NOW + 61, *PAIR)
    noted(history, NOW + 62)
    assert [(what, ended) for what, _, ended in told()] == [("venue and seller | promoter and auditor", 62.0)]


def test_a_cut_that_grows_much_later_is_another_row() -> None:
    history = History()
    noted(history, NOW, *PAIR)
    noted(history, NOW + SETTLED, *HALVES)
    noted(history, NOW + SETTLED + 1)
    assert [(what, ended) for what, _, ended in told()] == [
        ("venue and seller | promoter and auditor", SETTLED + 1),
        ("venue cut from promoter", SETTLED),
    ]


def test_a_cut_that_is_smaller_for_long_is_another_row() -> None:
    history = History()
    noted(history, NOW, *HALVES)
    noted(history, NOW + 59, *HALVES)
    noted(history, NOW + 60, *PAIR)
    noted(history, NOW + 60 + SETTLED - 1, *PAIR)
    assert [what for what, _, _ in told()] == ["venue and seller | promoter and auditor"]
    noted(history, NOW + 60 + SETTLED, *PAIR)
    assert [(what, ended) for what, _, ended in told()] == [
        ("venue cut from promoter", None),
        ("venue and seller | promoter and auditor", 60.0),
    ]
    assert rows()[1].seen_at == moment(NOW + 59)


def test_a_sentence_that_flaps_is_one_row_in_its_largest_form_with_who_decided_then() -> None:
    history = History()
    alone = between(["venue"], ["promoter", "seller", "auditor"])
    for turn in range(10):
        noted(history, NOW + 60 * turn, *PAIR)
        noted(history, NOW + 60 * turn + 30, *alone)
    noted(history, NOW + 600, *PAIR)
    [row] = rows()
    assert row.present == "venue cut from promoter", "the sentence of state names what is cut now"
    noted(history, NOW + 601)
    assert told() == [("venue cut from promoter, seller and auditor", -3.0, 601.0)]
    [row] = rows()
    assert (row.decides, row.seen_at) == (["promoter", "seller", "auditor"], moment(NOW + 600))
    assert row.present == ""


def test_who_was_seen_to_hang_later_could_not_decide() -> None:
    history, silent = History(), [("auditor", name) for name in NAMES[:3]]
    for at, hanging in ((NOW, ()), (NOW + 5, NAMES[:3]), (NOW + 10, ())):
        hearing = look(at, *silent, unseen=NAMES[:3], hanging=hanging)
        history.note(cut_of(hearing, dict.fromkeys(silent, NOW - 3)), at)
        if at == NOW:
            assert rows()[0].may_decide == [*NAMES[:3]]
    [row] = rows()
    assert (row.decides, row.may_decide) == ([], []), "nor do they once they go on"


def test_after_a_restart_a_smaller_form_leaves_the_row_as_it_is() -> None:
    noted(History(), NOW, *HALVES)
    after = History()
    noted(after, NOW + 40, *PAIR)
    noted(after, NOW + 80)
    assert told() == [("venue and seller | promoter and auditor", -3.0, 80.0)]
    assert rows()[0].decides == []


def test_a_restarted_process_goes_on_with_the_cut_that_lasts() -> None:
    noted(History(), NOW, *PAIR)
    after = History()
    noted(after, NOW + 100)
    assert told() == [("venue cut from promoter", -3.0, None)], "members have not reported yet"
    noted(after, NOW + 101, *PAIR)
    noted(after, NOW + 130)
    assert told() == [("venue cut from promoter", -3.0, 130.0)]


def test_of_a_cut_that_healed_while_nobody_watched_two_times_are_kept() -> None:
    """Last seen, and first seen to be over: also if the platform was away for a moment only."""
    noted(History(), NOW, *PAIR)
    after = History()
    noted(after, NOW + 900)
    noted(after, NOW + 900 + WARM_UP)
    [row] = rows()
    assert (row.seen_at, row.ended_at) == (moment(NOW), moment(NOW + 900 + WARM_UP))
