"""When reconcile takes a turn: at once after a change that can be seen without a query, else once a
second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from validators.data_folder.changes import change_mark
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import heartbeat, lock_holder
from validators.processes.node_controller import SILENT_AFTER

LOOK_INTERVAL = 0.2
"""Seconds between two turns until all is settled."""
TURN_INTERVAL = 1.0
"""Seconds between two turns while nothing changes: a request from another host is seen by then."""


class Attention:
    """Decides when reconcile takes a turn. `answers`: whether a node's API answers, by node id."""

    def __init__(self, folder: DataFolder, answers: Callable[[str], bool]) -> None:
        self._folder = folder
        self._answers = answers
        self._seen: object = None
        self._turned_at = 0.0
        self.settled = False
        """Set after each turn: True if no further turn is needed until something changes."""
        self.processes: list[int] = []
        """Process ids of the nodes that ran at the last look: the end of one is a change."""
        self._silent_in = 0.0

    def is_due(self, names: Iterable[str], now: float) -> bool:
        """Whether to take a turn now, in monotonic seconds, over the nodes with these names."""
        self.processes, self._silent_in = [], TURN_INTERVAL
        seen = (change_mark(self._folder.desired_changes), [self._look(name) for name in names])
        due = not self.settled or seen != self._seen or now - self._turned_at >= TURN_INTERVAL
        if due:
            self._seen, self._turned_at, self.settled = seen, now, False
        return due

    def rest(self) -> float:
        """Seconds until the next look if nothing else calls for one."""
        return max(self._silent_in, LOOK_INTERVAL) if self.settled else LOOK_INTERVAL

    def _look(self, name: str) -> tuple[int | None, bool, bool]:
        slot = self._folder.node_lock(name)
        holder = lock_holder(slot)
        if holder is not None:
            self.processes.append(holder)
        silent_in = SILENT_AFTER - (time.time() - heartbeat(slot) / 1e9)
        if silent_in >= 0:
            self._silent_in = min(self._silent_in, silent_in)
        return holder, silent_in < 0, self._answers(name)
