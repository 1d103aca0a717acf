"""Ends the waits of `up` when there is something to do, in place of looking for it many times a second."""

from __future__ import annotations

import fcntl
import os
import select
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class Bell:
    """A sleep of one thread that others end early."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def ring(self) -> None:
        """End the present wait, or the next one."""
        with suppress(BlockingIOError):
            os.write(self._write, b".")

    def wait(self, seconds: float, processes: Iterable[int] = ()) -> bool:
        """Sleep until rung, or one of these processes has ended; False if the time is over."""
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        descriptors = []
        try:
            for process in processes:
                with suppress(OSError, AttributeError):  # it is gone, or not Linux
                    descriptors.append(os.pidfd_open(process))
                    poll.register(descriptors[-1], select.POLLIN)
            ready = poll.poll(seconds * 1_000)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        with suppress(BlockingIOError):
            os.read(self._read, 1 << 16)
        return bool(ready)


class Alarm(Bell):
    """A sleep of the main thread that any signal ends early, also that of a child's end."""

    def __init__(self) -> None:
        super().__init__()
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGIO):
            signal.signal(number, lambda *_: None)


def signal_at_writes(folder: Path) -> bool:
    """Have SIGIO sent to this process, as long as it runs, when a file in the folder is made or written;
    False if the system cannot."""
    try:
        events = fcntl.DN_CREATE | fcntl.DN_MODIFY | fcntl.DN_MULTISHOT
        fcntl.fcntl(os.open(folder, os.O_RDONLY | os.O_CLOEXEC), fcntl.F_NOTIFY, events)
    except (OSError, AttributeError):
        return False
    return True
