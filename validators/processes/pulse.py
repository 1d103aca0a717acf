"""Do the web process and the workers still answer? Silence is shown, then ended, as for nodes.

A worker shows life by touching its slot lock; the web process is asked for `/health`, so that a page that
would wait for ever counts as silence too. A suspended process holds its socket and its locks: nothing else
tells it from a busy one.
"""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from enum import Enum

import msgspec

from validators.processes.watch import PAUSE_OF_OURS, SILENT_AFTER

STARTING_PATIENCE = 120.0
"""Seconds for a first sign of life: imports on a busy machine."""
ASK_INTERVAL = 1.0
ANSWER_PATIENCE = 10.0
"""Seconds between two questions to the web process, and for an answer."""


class Verdict(Enum):
    WELL = "well"
    SILENT = "silent"
    """Alive, but heard of no more: said once, and left alone for now."""
    LOST = "lost"
    """Silent for too long: to be killed and started again."""


class Finding(msgspec.Struct, frozen=True):
    verdict: Verdict
    silent_for: float = 0.0


class Pulse:
    """Memory about one child between two looks. Pure: seconds are monotonic and given."""

    def __init__(self, *, kill_after: float) -> None:
        self._kill_after = kill_after
        self._beat: object = None
        self._heard_at = 0.0
        self._heard_once = False
        self._looked_at = 0.0

    def begin(self, beat: object, now: float) -> None:
        """A new process: what the one before showed counts for nothing."""
        self._beat, self._heard_at, self._heard_once, self._looked_at = beat, now, False, now

    def look(self, beat: object, now: float) -> Finding:
        """`beat` is compared for change only, so no clock of another process is believed."""
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
    """Asks for `/health` once a second in a thread of its own; counts the answers."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answers = 0

    def run(self, stop: threading.Event) -> None:
        # Straight to this machine, whatever proxy the environment names.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while not stop.wait(ASK_INTERVAL):
            if answered(lambda: opener.open(f"{self._url}/health", timeout=ANSWER_PATIENCE).close()):
                self.answers += 1


def answered(ask: Callable[[], None]) -> bool:
    """Whether anything came back over HTTP: a refusal is an answer too."""
    try:
        ask()
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except (OSError, http.client.HTTPException):
        return False
    return True
