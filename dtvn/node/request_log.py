"""Logs a line for each request to an API, as the Go DTVN does, at a bounded rate.

The lines go to the node's log. A client that asks thousands of times a second must neither keep the node busy
with them nor push everything else out of the log: beyond LINES_MAX in a second requests are only counted. A
line never holds a query, a header or a body, which may contain keys and names; of these only the nonce.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from dtvn.node.api_channel import Answered
from dtvn.node.json_lines import FIELDS
from dtvn.node.watcher import line

LINES_MAX = 100
"""Lines per second."""
SECOND = 1.0
PATH_MAX = 200
"""Characters of a path that are shown."""
PROBES = frozenset({"/health", "/live", "/ready"})
"""Monitors send these requests several times a second: they are not logged."""


class RequestLog:
    """Logs requests at a bounded rate. Used by one thread."""

    def __init__(
        self,
        logger: logging.Logger,
        now: Callable[[], float] = time.monotonic,
        *,
        level: int = logging.INFO,
    ) -> None:
        self._logger = logger
        self._level = level
        self._now = now
        self._since = now()
        self._written = self._left_out = 0

    def answered(self, requests: Iterable[Answered]) -> None:
        """Log these answered requests, or count them beyond LINES_MAX."""
        if self._now() - self._since >= SECOND:
            self.flush()
        for request in requests:
            if request.endpoint in PROBES:
                continue
            if self._written >= LINES_MAX:
                self._left_out += 1
                continue
            self._written += 1
            shown = _shown(request)
            self._logger.log(self._level, "%s", line("request", shown), extra={FIELDS: shown})

    def flush(self) -> None:
        """Begin the next second: log how many requests had no line."""
        if self._left_out:
            self._logger.log(self._level, "%s", line("requests_left_out", {"count": self._left_out}))
        self._since = self._now()
        self._written = self._left_out = 0


def nonce_text(nonce: bytes) -> str:
    """A nonce as text, for a log line."""
    return nonce.decode("utf-8", "backslashreplace")


def _shown(request: Answered) -> dict[str, object]:
    path = request.path if len(request.path) <= PATH_MAX else f"{request.path[:PATH_MAX]}..."
    shown: dict[str, object] = {
        "method": request.method[:PATH_MAX],
        "path": path,
        "status": request.status,
        "ms": round(1000 * request.seconds, 1),
    }
    if request.nonce:
        shown["nonce"] = request.nonce
    if request.sequence:
        shown["sequence"] = request.sequence
    return shown
