"""The pause before an API helper is started again: short for one that served, growing for one that cannot."""

from __future__ import annotations

from dtvn.node.api_helper import RESTART_MAX, STEADY_AFTER, RestartPause

ENDURED = 0.5
"""Seconds of pause that leave time for the start itself within the one second that a death may cost."""


def test_a_helper_that_served_is_started_again_at_once() -> None:
    for lived in (0.1, 30.0, 2 * STEADY_AFTER):
        assert RestartPause().after(lived, served=True) == 0.0


def test_no_history_makes_clients_wait_long_for_one_that_served() -> None:
    pause = RestartPause()
    for _ in range(20):
        pause.after(1.0, served=False)
    assert pause.after(1.0, served=True) <= ENDURED
    spent = [pause.after(1.0, served=True) for _ in range(20)]
    assert 0.0 < spent[-1] <= ENDURED, "one that crashes again and again does not take the whole processor"


def test_the_pause_grows_for_one_that_never_serves_and_is_forgotten() -> None:
    pause = RestartPause()
    spent = [pause.after(0.1, served=False) for _ in range(20)]
    assert spent == sorted(spent)
    assert (spent[0], spent[-1]) == (0.0, RESTART_MAX)
    assert pause.after(STEADY_AFTER, served=True) == 0.0
    assert pause.after(0.1, served=False) < 1.0
