"""Which members of this platform have a process that runs: silence of one that does not is no cut."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from django.conf import settings

from dtvn.protocol.durations import SECOND
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import heartbeat, lock_holder
from validators.models import NodeStatus
from validators.services.cluster import own_members

STARTS_FOR = 15 * SECOND
"""Nanoseconds for which a process that has begun counts as not running: others hear it a moment later."""
HANGS_AFTER = 5 * SECOND
"""Nanoseconds without a heartbeat, one a second, after which nothing is known of a process."""
ALIVE = frozenset({NodeStatus.RUNNING, NodeStatus.UNRESPONSIVE})


class OwnProcesses:
    """Looks at rows and locks once in a while. Times are monotonic nanoseconds."""

    def __init__(self) -> None:
        self._ended: dict[str, int] = {}
        """Members that were seen not to run -> when last."""
        self._beats: dict[str, tuple[int, int]] = {}
        """Member -> its newest heartbeat, and when that was first seen."""

    def look(self, now: int) -> dict[str, bool | None]:
        """Whether the process runs of each member of this platform, by id; None of those that hang, which
        neither run nor have ended. Raises DatabaseError."""
        locks = {path.stem: path for path in DataFolder(settings.DATA).node_locks()}
        found: dict[str, bool | None] = {}
        for name, status in own_members().values_list("node_id", "status"):
            lock = locks.get(name)
            if status not in ALIVE or not _is_held(lock):
                self._ended[name] = now
            if name in self._ended and now - self._ended[name] < STARTS_FOR:
                found[name] = False
            else:
                hangs = self._hangs(name, lock, now) or (lock is None and status == NodeStatus.UNRESPONSIVE)
                found[name] = None if hangs else True
        return found

    def _hangs(self, name: str, lock: Path | None, now: int) -> bool:
        """Whether its heartbeat has stood still; one on another host has none here."""
        if lock is None:
            return False
        newest, since = heartbeat(lock), self._beats.get(name, (-1, 0))
        if newest != since[0]:
            self._beats[name] = since = newest, now
        return now - since[1] > HANGS_AFTER


def _is_held(lock: Path | None) -> bool:
    """Whether a process holds this lock. Of one that is not here, or not readable, the row alone tells."""
    with suppress(OSError):
        return lock is None or lock_holder(lock) is not None
    return True
