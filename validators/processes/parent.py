"""Ends a process together with its parent: no process of a network outlives the one that started it.

Linux sends a signal at the parent's death (prctl PR_SET_PDEATHSIG); a thread that waits for it is the
fallback, and the only means on other systems. Both, because the signal can be lost: it is tied to the
*thread* that started us and is forgotten when a program changes its credentials.
"""

import os
import select
import signal
import sys
import threading

from dtvn.node.parents_death import signal_at_parents_death

WATCH_INTERVAL = 0.2
"""Seconds between two checks of the parent's id, on systems without descriptors of processes."""


def follow(parent: int, *, grace: float) -> None:
    """Send ourselves SIGTERM when `parent` ends, and exit by force `grace` seconds later.

    Meant for a process that leads its own group: the forced exit kills the whole group.
    """
    signal_at_parents_death(signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the process that started this one has ended")
    threading.Thread(target=_watch, args=(parent, grace), daemon=True, name="parent").start()


_idle = threading.Event()
_idle.set()


def leave_when_idle(parent: int) -> None:
    """Exit when `parent` ends: at once, or after what `now_busy` announced.

    For a child forked by a thread of its parent: that thread may end long before its process, and the
    kernel's signal is tied to the end of the thread.
    """
    threading.Thread(target=_watch_idle, args=(parent,), daemon=True, name="parent").start()


def now_busy() -> None:
    """Keeps this process running after its parent ended, until `now_idle`: it has something to clean up."""
    _idle.clear()


def now_idle() -> None:
    """Lets this process exit once its parent has ended."""
    _idle.set()


def _watch_idle(parent: int) -> None:
    _wait_for_end(parent)
    _idle.wait()
    os._exit(0)  # Celery's own end may wait for ever for a lock that a killed process held


def _watch(parent: int, grace: float) -> None:
    _wait_for_end(parent)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(grace)
    os.killpg(0, signal.SIGKILL)


def _wait_for_end(parent: int) -> None:
    """Return when `parent` is not, or no longer, the parent of this process."""
    try:
        ended = select.poll()
        ended.register(os.pidfd_open(parent), select.POLLIN)
    except (AttributeError, OSError):  # not on this system, or it has ended
        pass
    else:
        if os.getppid() == parent:
            ended.poll()
    never = threading.Event()
    while os.getppid() == parent:
        never.wait(WATCH_INTERVAL)
