"""The part of `up` that changes the membership: carries out the requested changes step by step (R36)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import close_old_connections, connections

from dtvn.api.errors import Unavailable
from validators.data_folder.changes import change_mark
from validators.data_folder.folder import DataFolder
from validators.database_url import first_line
from validators.membership import changes, newcomers
from validators.membership.change_request import newest_epoch
from validators.services import evidence, network

logger = logging.getLogger("dtvn.members")

LOOK_INTERVAL = 0.3
"""Seconds between two steps of a change."""
TURN_INTERVAL = 1.0
"""Seconds between two turns while there is nothing to do, within which a change requested on another host is
seen."""
LEAVERS_INTERVAL = 3.0
"""Seconds between two searches for our members that an epoch has removed."""
EVIDENCE_INTERVAL = 60.0
"""Seconds between two collections of evidence from the members."""


class Schedule:
    """Decides when tasks of the loop are due; all times are monotonic seconds. `path`: the file that is
    written when a change is stored."""

    def __init__(self, path: Path, now: float) -> None:
        self._path = path
        self._seen: object = None
        self._turned_at = now
        self._leavers_at = self._evidence_at = now
        self.busy = True
        """Whether the last turn found a change, or failed."""

    def turn_is_due(self, now: float) -> bool:
        """Whether to take a turn now. Sets `busy`; until the caller clears it, each look is due."""
        mark = change_mark(self._path)
        due = self.busy or mark != self._seen or now - self._turned_at >= TURN_INTERVAL
        if due:
            self._seen, self._turned_at, self.busy = mark, now, True
        return due

    def leavers_are_due(self, now: float) -> bool:
        """Whether to search now for members that an epoch has removed."""
        due = now - self._leavers_at >= LEAVERS_INTERVAL
        if due:
            self._leavers_at = now
        return due

    def evidence_is_due(self, now: float) -> bool:
        """Whether to collect evidence now."""
        due = now - self._evidence_at >= EVIDENCE_INTERVAL
        if due:
            self._evidence_at = now
        return due


def run_changes(stopped: Callable[[float], bool]) -> None:
    """Run until told to stop. `stopped` sleeps for at most so many seconds, less if the file is written, and
    returns whether to stop. Never gives up: a stored change is retried with the same bytes."""
    complained = ""
    schedule = Schedule(DataFolder(settings.DATA).desired_changes, time.monotonic())
    while not stopped(LOOK_INTERVAL if schedule.busy else TURN_INTERVAL):
        if not schedule.turn_is_due(now := time.monotonic()):
            continue
        try:
            close_old_connections()
            if changes.turn() is None:
                schedule.busy = False
                network.close()  # an idle gateway would query every member's status once a second
                if schedule.leavers_are_due(now):
                    _look_for_leavers()
                if schedule.evidence_is_due(now) and evidence.collect_now_and_then():
                    logger.warning("there is new evidence against a member: see the admin")
            complained = ""
        except Exception as error:  # noqa: BLE001 - logged, and tried again
            if (reason := first_line(error)) != complained:
                logger.warning("members: %s: %s", type(error).__name__, reason)
            complained = reason
    network.close()
    connections.close_all()


def _look_for_leavers() -> None:
    if not newcomers.suspects():
        return
    try:
        for node_id in newcomers.note_leavers(newest_epoch(network.gateway())):
            logger.warning("%s is no longer a member: stopping it", node_id)
    except Unavailable:
        return
