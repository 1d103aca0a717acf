"""The part of a node's process that receives stop requests and reports to the platform.

It has two threads beside the node's main loop. One writes the heartbeat to the slot file and notices when the
worker's main process is gone: an orphan would hold the node's lock for ever. The other accesses the
platform's database, whose outages and locks, however long, stop no node.
"""

import logging
import os
import signal
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Any

from django.db import DatabaseError, close_old_connections, connection
from django.db.models import QuerySet
from django.utils import timezone

from validators.data_folder.locks import SlotLock
from validators.database_url import first_line
from validators.models import DesiredState, ManagedNode
from validators.processes import stopping

logger = logging.getLogger("dtvn.lease")

LOOK_INTERVAL = 0.25
"""Seconds between two checks of the parent and the stop flag."""
DATABASE_INTERVAL = 1.0
"""Seconds between two accesses to the platform's database."""
ORPHAN_GRACE = 1.25
"""Seconds an orphan gets for an orderly end before it exits by force."""


class Lease:
    """One run of a node in a worker slot. `should_stop` and `beat` are for its main loop."""

    def __init__(self, node: ManagedNode, *, token: str, lock: SlotLock) -> None:
        self.node_id = node.node_id
        self._generation = node.generation
        self._token = token
        self._lock = lock
        self._parent = os.getppid()
        # A plain flag: a signal handler that takes a lock can deadlock with the thread it interrupted.
        self._stop = False
        self._handled_before: Any = signal.SIG_DFL
        self._finished = threading.Event()
        self._turned = threading.Event()
        """Set at the first turn of the main loop, and at the end."""
        self._report: Mapping[str, Any] | None = None
        self._turns = 0
        self._threads = [
            threading.Thread(target=self._show_life, daemon=True, name=f"life-{node.node_id}"),
            threading.Thread(target=self._talk, daemon=True, name=f"lease-{node.node_id}"),
        ]

    def claim(self) -> None:
        """Tell the platform that this process, which holds the slot lock, is the node."""
        now = timezone.now()
        self._row().update(
            claimed_token=self._token,
            running_generation=self._generation,
            host=os.uname().nodename,
            pid=os.getpid(),
            started_at=now,
            heartbeat_at=now,
        )
        self._handled_before = signal.signal(signal.SIGTERM, self._on_sigterm)
        for thread in self._threads:
            thread.start()

    def should_stop(self) -> bool:
        """Called by the main loop at every turn: costs two memory reads."""
        return self._stop or stopping.requested()

    def beat(self, report: Mapping[str, Any]) -> None:
        """Called by the main loop at every turn: its heartbeat and status."""
        self._report = report
        self._turns += 1
        if not self._turned.is_set():
            self._turned.set()

    @property
    def orphaned(self) -> bool:
        """The worker's main process, which reads this process's result, is gone."""
        return os.getppid() != self._parent

    def end(self, exit_reason: str, exit_code: int) -> None:
        """Report the reason of the end and stop watching."""
        self._finished.set()
        self._turned.set()
        for thread in self._threads:
            thread.join(timeout=2 * DATABASE_INTERVAL)
        try:
            close_old_connections()  # that of the claim may be lost by now
            self._row().update(pid=None, exit_reason=exit_reason[:1000], report={"exit_code": exit_code})
        except DatabaseError as error:
            logger.warning("%s cannot report its end: %s", self.node_id, first_line(error))
        signal.signal(signal.SIGTERM, self._handled_before)

    def _row(self) -> QuerySet[ManagedNode]:
        """The node's row, empty once another start request has replaced the one that this process claimed."""
        return ManagedNode.objects.filter(node_id=self.node_id, start_token=self._token)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def _show_life(self) -> None:
        """Thread: write heartbeats, each only after a turn of the main loop; before the first turn it is
        enough that the process runs. Ends an orphan."""
        shown = -1
        while not self._finished.wait(LOOK_INTERVAL):
            turns = self._turns
            if turns == 0 or turns != shown:
                self._lock.show_life()
                shown = turns
            if self.orphaned:
                self._stop = True
                if not self._finished.wait(ORPHAN_GRACE):
                    os._exit(70)

    def _talk(self) -> None:
        """Thread: write the status and read the desired state every DATABASE_INTERVAL; at once when the main
        loop turns for the first time."""
        written, complained = 0, False
        try:
            while not self._finished.is_set():
                waiting = self._finished if self._turned.is_set() else self._turned
                turns, report = self._turns, self._report
                try:
                    news = None if turns == written else report
                    if not self._tell(news):
                        self._stop = True
                    written = turns
                    complained = False
                except DatabaseError as error:
                    connection.close()
                    if not complained:
                        reason = first_line(error)
                        logger.warning("%s goes on without the platform's database: %s", self.node_id, reason)
                    complained = True
                waiting.wait(DATABASE_INTERVAL)
        finally:
            connection.close()

    def _tell(self, report: Mapping[str, Any] | None) -> bool:
        """Return whether the row still desires this run; the same statement writes `report`, unless None."""
        as_desired = self._row().filter(desired=DesiredState.RUNNING, generation=self._generation)
        if report is None:
            return as_desired.exists()
        return bool(as_desired.update(heartbeat_at=timezone.now(), report=dict(report)))
