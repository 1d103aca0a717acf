"""The bound of the processor time in which a file is read."""

from __future__ import annotations

import signal
import time

import pytest

from tickets.importing import time_limit as limits
from tickets.importing.record import FileRefused
from tickets.importing.time_limit import time_limit

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""The timer may strike in a callback of the garbage collector, which loses the error; it strikes again."""


def compute() -> None:
    """Ends by itself long after the limit."""
    end = time.process_time() + 5
    while time.process_time() < end:
        pass


@time_limit(0.02)
def read() -> None:
    compute()


@time_limit(0.02)
def swallow_and_read() -> None:
    try:
        compute()
    except ValueError:
        compute()


def test_what_computes_beyond_the_limit_is_ended() -> None:
    with pytest.raises(FileRefused, match=r"over 0 s to read"):
        read()


def test_a_parser_that_takes_it_for_an_error_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AGAIN", 0.02)
    with pytest.raises(FileRefused):
        swallow_and_read()


def test_a_timer_that_strikes_once_more_while_a_block_ends_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, stop = signal.getsignal(signal.SIGPROF), signal.setitimer

    def strike_and_stop(which: int, seconds: float, again: float = 0.0) -> None:
        if not seconds:
            signal.raise_signal(signal.SIGPROF)
        stop(which, seconds, again)

    monkeypatch.setattr(signal, "setitimer", strike_and_stop)
    with pytest.raises(FileRefused):
        read()
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGPROF) == before
