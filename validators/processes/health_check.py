"""Checks whether the web process and the workers still answer. A silent one is reported, then killed, as
nodes are.

A worker's heartbeat is a touch of its slot lock; the web process is probed via `/health`, so that a process
whose pages would never load counts as silent too. A suspended process keeps its socket and its locks: only
silence distinguishes it from a live one.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from enum import Enum
from urllib.parse import urlsplit

import msgspec

from validators.local_get import NO_ANSWER, get
from validators.processes.node_controller import PAUSE_OF_OURS, SILENT_AFTER

STARTING_PATIENCE = 120.0
"""Seconds until the first heartbeat: imports on a busy machine."""
ASK_INTERVAL = 1.0
ANSWER_PATIENCE = 10.0
"""Seconds between two probes of the web process, and for an answer."""


class Verdict(Enum):
    WELL = "well"
    SILENT = "silent"
    """Running, but without a heartbeat: reported once, and left alone for now."""
    LOST = "lost"
    """Silent for too long: to be killed and restarted."""


class Finding(msgspec.Struct, frozen=True):
    verdict: Verdict
    silent_for: float = 0.0


class HealthCheck:
    """State of one child's check between two observations. Pure: monotonic seconds are passed in."""

    def __init__(self, *, kill_after: float) -> None:
        self._kill_after = kill_after
        self._beat: object = None
        self._heard_at = 0.0
        self._heard_once = False
        self._looked_at = 0.0

    def begin(self, beat: object, now: float) -> None:
        """A new process: the observations of the previous one no longer count."""
        self._beat, self._heard_at, self._heard_once, self._looked_at = beat, now, False, now

    def look(self, beat: object, now: float) -> Finding:
        """`beat` is compared for change only, so no other process's clock is trusted."""
        if (gap := now - self._looked_at) > PAUSE_OF_OURS:
            self._heard_at += gap  # we were paused ourselves: silence is counted from here
        self._looked_at = now
        if beat != self._beat:
            self._beat, self._heard_at, self._heard_once = beat, now, True
        silent = now - self._heard_at
        if silent > (self._kill_after if self._heard_once else max(self._kill_after, STARTING_PATIENCE)):
            return Finding(Verdict.LOST, silent)
        if self._heard_once and silent > SILENT_AFTER:
            return Finding(Verdict.SILENT, silent)
        return Finding(Verdict.WELL, silent)


class WebProbe:
    """Requests `/health` once a second in its own thread; counts the answers: a refusal is one too."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._host, self._port = place.hostname or "", place.port or 80
        self.answers = 0

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(ASK_INTERVAL):
            with suppress(*NO_ANSWER):
                get(self._host, self._port, "/health", patience=ANSWER_PATIENCE, most=0)
                self.answers += 1
