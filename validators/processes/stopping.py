"""A stop flag: one byte that a Celery worker's main process shares with its pool children.

Celery notifies only the main process of a shutdown, and its warm shutdown waits for the running tasks for
ever. The byte is in anonymous memory made before the children are forked, so it needs no file and cannot be
left behind.
"""

import mmap

_flag = mmap.mmap(-1, 1)


def request() -> None:
    """Set once by the main process; every child sees it at its next check."""
    _flag[0] = 1


def requested() -> bool:
    return _flag[0] == 1
