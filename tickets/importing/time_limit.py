"""Bounds the processor time in which a file is read.

A small file may describe much work, in the parsers of others too, so the bound is a timer of the system and
no count of rows. It is processor time: a busy machine refuses no file that a quiet one reads.
"""

from __future__ import annotations

import signal
import threading
from contextlib import ContextDecorator
from types import FrameType
from typing import Any

from tickets.importing.record import FileRefused

AGAIN = 1.0
"""Seconds of processor time after which the limit is told again: a parser may have taken it for an error of
its own."""


class TookTooLong(FileRefused):
    """The file was not read in time."""


class time_limit(ContextDecorator):
    """A block that raises TookTooLong once this process has computed for `seconds`. Only the main thread, as
    of a worker's slot, can be interrupted: in another one nothing is bounded. Not within itself."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._before: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGPROF, self._over)
            signal.setitimer(signal.ITIMER_PROF, self._seconds, AGAIN)

    def __exit__(self, *_error: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, self._before)

    def _over(self, _signal: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code in (time_limit.__enter__.__code__, time_limit.__exit__.__code__):
                return  # an error there would leave the timer running, and end whatever comes next
            frame = frame.f_back
        raise TookTooLong(f"The file takes over {self._seconds:.0f} s to read: split it, or save it as CSV.")
