"""What a worker says of a child that ended without a word: one line, with the node's name.

billiard tells it at once, as a process of its pool; Celery tells it again ten seconds later, as a task that
failed, with a traceback of its own inside. What a task itself raised is told as ever.
"""

from __future__ import annotations

import logging

from celery.exceptions import WorkerLostError
from celery.worker import state

from validators.processes import stopping

__all__ = ["tell_in_words"]

OF_BILLIARD = "Process %r pid:%r exited with %r"
NODES = frozenset({"validators.tasks.run_validator", "validators.tasks.follow_cluster"})


def tell_in_words() -> None:
    """In the main process of a worker, before it has children."""
    logging.getLogger("multiprocessing").addFilter(_name_the_node)
    logging.getLogger("celery.worker.request").addFilter(_not_again)


def _name_the_node(record: logging.LogRecord) -> bool:
    if record.msg == OF_BILLIARD and isinstance(record.args, tuple):
        _, pid, how = record.args
        record.msg, record.args = _sentence(pid, str(how)), ()
    return True


def _sentence(pid: object, how: str) -> str:
    """`how`: "signal 9 (SIGKILL)" or "exitcode 1"."""
    request = next((each for each in list(state.active_requests) if each.worker_pid == pid), None)
    if request is None:
        return f"a free slot (process {pid}) ended: {how}; another one takes its place"
    if request.name not in NODES:
        return f"{request.name} (process {pid}) ended: {how}"
    again = "" if stopping.requested() else "; it is started again, unless it was to stop"
    return f"{request.args[0]} (process {pid}) ended: {how}{again}"


def _not_again(record: logging.LogRecord) -> bool:
    """An end by a signal was told when it came; of any other the traceback is left out, which is the pool's
    own and says nothing."""
    error = record.args[0] if isinstance(record.args, tuple) and record.args else None
    if not isinstance(error, WorkerLostError):
        return True
    record.exc_info = record.exc_text = None
    return "signal" not in str(error)
