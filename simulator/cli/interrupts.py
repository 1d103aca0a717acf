"""Ctrl-C and SIGTERM during `manage.py simulator`: the work ends and the results so far are reported.

The first signal ends the work at once; while nothing is being played it is only recorded, so that results are
printed completely. The second one ends the process immediately, as without this module; one that follows the
first within SAME_WITHIN counts as the same signal, since `timeout` sends to the process and to its group.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from dtvn.node.parents_death import signal_at_parents_death
from simulator.violation import Interrupted

NUMBERS = (signal.SIGINT, signal.SIGTERM)
SAME_WITHIN = 0.5
"""Seconds after the first signal in which a further one counts as the same: longer than `timeout` takes, and
shorter than a user takes to press Ctrl-C again."""


def _raise() -> NoReturn:
    raise Interrupted


class Interrupts:
    """Signal handling of this process while the command runs."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._came: float | None = None
        """When the first signal came."""
        self._end: Callable[[], object] | None = None

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Install these signal handlers for the duration of the block."""
        before = {number: signal.signal(number, self._hear) for number in NUMBERS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def during(self, end: Callable[[], object] = _raise) -> Iterator[None]:
        """Work that a signal ends by calling `end`; the default raises `Interrupted` in the middle of it."""
        self._end = end
        try:
            if self._came is not None:
                end()
            yield
        finally:
            self._end = None

    def _hear(self, number: int, _frame: object) -> None:
        now = self._clock()
        if self._came is not None:
            if now - self._came >= SAME_WITHIN:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            return
        self._came = now
        if self._end is not None:
            self._end()


@contextmanager
def held_back() -> Iterator[None]:
    """Blocks signals: processes that are started in this block receive none before `begin_worker`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker(parent: int) -> None:
    """Called in a worker of process `parent`: Ctrl-C reaches all processes of a terminal, and only the parent
    handles it. No worker outlives the parent, not even one that starts after the parent's end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal_at_parents_death(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)
