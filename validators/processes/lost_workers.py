"""What a worker logs about its children: one that ended without a report gives one line, with the node's
name, in the format of all other lines.

billiard logs it at once, as a process of its pool; Celery logs it again ten seconds later, as a failed task
with its own internal traceback. Exceptions that a task raises are logged as usual.
"""

from __future__ import annotations

import logging

from celery import signals
from celery.exceptions import WorkerLostError
from celery.worker import state

from validators.processes import stopping
from validators.processes.task_names import FOLLOW_CLUSTER, RUN_VALIDATOR

OF_BILLIARD = "Process %r pid:%r exited with %r"
NODES = frozenset({RUN_VALIDATOR, FOLLOW_CLUSTER})


def install_filters() -> None:
    """Install the filters in the main process of a worker, before it has children."""
    logging.getLogger("multiprocessing").addFilter(_name_the_node)
    logging.getLogger("celery.worker.request").addFilter(_not_again)
    signals.after_setup_logger.connect(_in_our_form)


def _in_our_form(logger: logging.Logger, **_: object) -> None:
    """Give billiard's log lines the format of the root logger: Celery gives its handler another one."""
    for handler in logging.getLogger("multiprocessing").handlers:
        handler.setFormatter(logger.handlers[0].formatter)


def _name_the_node(record: logging.LogRecord) -> bool:
    if record.msg == OF_BILLIARD and isinstance(record.args, tuple):
        _, pid, how = record.args
        record.msg, record.args = _sentence(pid, str(how)), ()
    return True


def _sentence(pid: object, how: str) -> str:
    """The log line about an ended child process. `how`: "signal 9 (SIGKILL)" or "exitcode 1"."""
    request = next((each for each in list(state.active_requests) if each.worker_pid == pid), None)
    if request is None:
        return f"a free slot (process {pid}) ended: {how}; another one replaces it"
    if request.name not in NODES:
        return f"{request.name} (process {pid}) ended: {how}"
    again = "" if stopping.requested() else "; it is restarted unless it was asked to stop"
    return f"{request.args[0]} (process {pid}) ended: {how}{again}"


def _not_again(record: logging.LogRecord) -> bool:
    """Log filter: drops Celery's second report of a child that ended by a signal; removes the traceback,
    which is the pool's own, from reports of other ends."""
    error = record.args[0] if isinstance(record.args, tuple) and record.args else None
    if not isinstance(error, WorkerLostError):
        return True
    record.exc_info = record.exc_text = None
    return "signal" not in str(error)
