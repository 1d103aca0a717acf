"""Each checker says its sentence about the smallest history that breaks its promise.

In whole worlds (`test_checkers.py`) a planted bug is often noticed by another checker first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import checkers
from simulator.violation import Violation
from tests.simulation import histories_of_entries, histories_of_members  # noqa: F401 - each registers its histories
from tests.simulation.firing import FIRES
from tests.support.table import table

SHOWN_ELSEWHERE = {
    "counted",
    "decision-rules",
    "honest-quorum",
    "one-history",
    "run-answers",
    "slow-primary-deposed",
    "vote-evidence",
}
"""Planted bugs of their own worlds fire these, and `test_counted.py`, `test_slow_primary_deposed.py`."""


@table("history, sentence", FIRES, count=55, ids=[history.__name__ for history, _ in FIRES])
def test_a_checker_names_the_promise_that_a_history_breaks(
    history: Callable[[], object], sentence: str
) -> None:
    with pytest.raises(Violation) as violation:
        history()
    assert str(violation.value) == sentence


def test_every_checker_is_shown_to_fire() -> None:
    files = Path(checkers.__file__).parent.glob("*.py")
    names = {name for path in files for name in re.findall(r'^    name = "(.+)"$', path.read_text(), re.M)}
    assert {sentence.partition(":")[0] for _, sentence in FIRES} | SHOWN_ELSEWHERE == names
