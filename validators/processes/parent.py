"""Ends a process together with its parent: no process of a network outlives the one that started it.

Linux sends a signal at the parent's death (prctl PR_SET_PDEATHSIG); polling the parent's id is the fallback,
and the only means on other systems. Both, because the signal can be lost: it is tied to the *thread* that
started us and is forgotten when a program changes its credentials.
"""

import os
import signal
import sys
import threading

from dtvn.node.parents_death import signal_at_parents_death

WATCH_INTERVAL = 0.5
"""Seconds between two checks of the parent's id."""
IDLE_INTERVAL = 0.2
"""The same while no cleanup is needed."""


def follow(parent: int, *, grace: float) -> None:
    """Send ourselves SIGTERM when `parent` ends, and exit by force `grace` seconds later.

    Meant for a process that leads its own group: the forced exit kills the whole group.
    """
    signal_at_parents_death(signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the process that started this one has ended")
    threading.Thread(target=_watch, args=(parent, grace), daemon=True, name="parent").start()


_busy = False


def leave_when_idle(parent: int) -> None:
    """Exit at once when `parent` ends, unless `now_busy` was called by then.

    For a child forked by a thread of its parent: that thread may end long before its process, and the
    kernel's signal is tied to the end of the thread.
    """
    threading.Thread(target=_watch_idle, args=(parent,), daemon=True, name="parent").start()


def now_busy() -> None:
    """From now on this process needs cleanup before it may exit."""
    global _busy
    _busy = True


def _watch_idle(parent: int) -> None:
    never = threading.Event()
    while os.getppid() == parent:
        never.wait(IDLE_INTERVAL)
    if not _busy:
        os._exit(0)


def _watch(parent: int, grace: float) -> None:
    never = threading.Event()
    while os.getppid() == parent:
        never.wait(WATCH_INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)
    never.wait(grace)
    os.killpg(0, signal.SIGKILL)
