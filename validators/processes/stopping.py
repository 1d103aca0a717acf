"""One byte that a Celery worker's main process shares with its pool children: stop now.

Celery tells only the main process that it shuts down, and its warm shutdown waits for the running
tasks for ever. The byte is in anonymous memory made before the children are forked, so it needs no
file and cannot be left behind.
"""

import mmap

_flag = mmap.mmap(-1, 1)


def request() -> None:
    """Said once by the main process; every child sees it at its next look."""
    _flag[0] = 1


def requested() -> bool:
    return _flag[0] == 1
