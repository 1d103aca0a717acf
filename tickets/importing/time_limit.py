"""Bounds the processor time in which a file is read.

A small file may describe much work, in the parsers of others too, so the bound is a timer of the system and
no count of rows. It is processor time: a busy machine refuses no file that a quiet one reads.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tickets.importing.record import FileRefused

AGAIN = 1.0
"""Seconds of processor time after which the limit is told again: a parser may have taken it for an error of
its own."""


class TookTooLong(FileRefused):
    """The file was not read in time."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """A block that raises TookTooLong once this process has computed for `seconds`. Only the main thread, as
    of a worker's slot, can be interrupted: in another one nothing is bounded. Not within itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(_signal: int, _frame: FrameType | None) -> None:
        raise TookTooLong(f"The file takes over {seconds:.0f} s to read: split it, or save it as CSV.")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
