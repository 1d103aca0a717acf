"""A pipe that nobody reads, as behind a stalled pager: full from the first byte on."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["full_pipe", "read_what_is_there"]


@contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """Both ends, the reading one first; a write blocks until somebody reads."""
    reading, writing = os.pipe()
    try:
        size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4_096)
        os.write(writing, b"\n" * size)
        yield reading, writing
    finally:
        for end in (reading, writing):
            with suppress(OSError):  # the test closed it
                os.close(end)


def read_what_is_there(reading: int) -> bytes:
    """What can be read without waiting."""
    os.set_blocking(reading, False)
    found = b""
    with suppress(BlockingIOError):
        while part := os.read(reading, 65_536):
            found += part
    return found
