"""Ends the entries of dead processes that this one inherited: as process 1 of a container, or as a subreaper.

A process whose parent has died becomes a child of process 1; when it ends, its entry stays in the process
table (a zombie) until that parent reads its exit code.
"""

from __future__ import annotations

import os
from collections.abc import Collection


def reap(*, own: Collection[int | None]) -> list[int]:
    """Read the exit codes of ended children other than `own` (process ids), which their starters wait for;
    returns their process ids. Only for a process of which no other thread starts children.

    Stops at an ended child of `own`: the kernel shows one at a time, and the next call goes on.
    """
    reaped: list[int] = []
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return reaped
        if ended is None or ended.si_pid in own:
            return reaped
        os.waitpid(ended.si_pid, 0)
        reaped.append(ended.si_pid)
