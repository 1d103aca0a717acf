"""The body of the tasks that are a node: take the slot, run, report why it ended."""

import logging
import signal
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from setproctitle import setproctitle

from dtvn.node.json_lines import JsonLines, is_json
from dtvn.node.logs import begin_log
from dtvn.node.parents_death import signal_at_parents_death
from dtvn.node.run import EXIT_FAILED
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import SlotLock
from validators.models import DesiredState, ManagedNode, NodeRole
from validators.processes import parent
from validators.processes.lease import Lease

logger = logging.getLogger("dtvn.node")

ShouldStop = Callable[[], bool]
Beat = Callable[[Mapping[str, Any]], None]
Run = Callable[[ShouldStop, Beat], int]


def occupy_slot(node_id: str, token: str, run: Run) -> str:
    """Run the node until told to stop. Returns a word for the worker's log, which is never node state."""
    folder = DataFolder(settings.DATA)
    node = ManagedNode.objects.filter(
        node_id=node_id, start_token=token, desired=DesiredState.RUNNING
    ).first()
    if node is None:
        return "superseded"
    lock = SlotLock(folder.node_lock(node_id))
    if not lock.take():
        lock.release()
        return "already running"
    setproctitle(f"dtvn {node.role} {node_id} ({folder.root})")
    name_log_lines(node_id)
    logging.getLogger().addHandler(loud := LastError())
    lease = Lease(node, token=token, lock=lock)
    lease.claim()
    # From now on an end needs cleaning up when the worker dies: see worker._on_child_start.
    parent.now_busy()
    signal_at_parents_death(signal.SIGTERM)
    code, exit_reason = EXIT_FAILED, "ended without a reason"
    try:
        if node.role == NodeRole.VALIDATOR and node.running_generation != node.generation:
            # After a requested start the log is shown from here; after a restart on its own it
            # continues.
            begin_log(folder.nodes / node_id)
        code = run(lease.should_stop, lease.beat)
        exit_reason = "" if lease.should_stop() else f"ended with code {code}: {loud.last}".rstrip(": ")
    except Exception as error:
        logger.exception("%s ended", node_id)
        exit_reason = f"{type(error).__name__}: {error}"
    finally:
        lease.end(exit_reason, code)
        lock.release()
        setproctitle(f"dtvn ended slot ({folder.root})")
        parent.now_idle()
    return exit_reason or "stopped"


class LastError(logging.Handler):
    """Remembers the last error a node logged, which is shown as the reason when it ends."""

    last = ""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


def name_log_lines(node_id: str) -> None:
    """Name the node in every log line of this process."""
    root = logging.getLogger()
    text = logging.Formatter(f"{node_id}: %(levelname)s %(name)s: %(message)s")
    formatter = JsonLines({"node": node_id}) if is_json(root) else text
    for handler in root.handlers:
        handler.setFormatter(formatter)
