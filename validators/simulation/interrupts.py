"""Ctrl-C and SIGTERM during `manage.py simulator`: the work ends and what was found is told.

The first signal ends the work, wherever it is; while nothing is being played it is only remembered, so that
results are printed whole. The second one ends the process at once, as it would have without all this.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from simulator.violation import Interrupted
from validators.processes.parent import signal_at_parents_death

__all__ = ["Interrupts", "begin_worker", "held_back"]

NUMBERS = (signal.SIGINT, signal.SIGTERM)


def _raise() -> NoReturn:
    raise Interrupted


class Interrupts:
    """What the signals of this process mean while the command runs."""

    def __init__(self) -> None:
        self._came = False
        self._end: Callable[[], object] | None = None

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Take the signals over."""
        before = {number: signal.signal(number, self._hear) for number in NUMBERS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def during(self, end: Callable[[], object] = _raise) -> Iterator[None]:
        """Work that `end` ends; as it stands, `Interrupted` is raised in the middle of it."""
        self._end = end
        try:
            if self._came:
                end()
            yield
        finally:
            self._end = None

    def _hear(self, number: int, _frame: object) -> None:
        if self._came:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._came = True
        if self._end is not None:
            self._end()


@contextmanager
def held_back() -> Iterator[None]:
    """No signal now: processes that are begun meanwhile hear none before `begin_worker`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker() -> None:
    """In a worker: Ctrl-C goes to all processes of a terminal and is the parent's affair, whom none
    outlives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal_at_parents_death(signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)
