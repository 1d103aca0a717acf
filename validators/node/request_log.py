"""A line for each request to a node's own API, as the seed writes them (spec 1.8), bounded.

The lines go where the node's other lines go, and who asks thousands of times a second shall neither keep the
node busy with them nor push everything else out of its log: beyond LINES_MAX in a second requests are only
counted. Never in a line: a query, a header or a body, where keys and names could be.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from validators.node.api_channel import Answered
from validators.node.watcher import line

__all__ = ["LINES_MAX", "RequestLog"]

LINES_MAX = 100
"""Lines in a second."""
SECOND = 1.0
PATH_MAX = 200
"""Characters of a path that are shown."""
QUIET = ("/health", 200)
"""Asked several times a second by whoever watches the node: shown only when the answer is another."""


class RequestLog:
    """Used by one thread."""

    def __init__(self, logger: logging.Logger, now: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._now = now
        self._since = now()
        self._written = self._left_out = 0

    def answered(self, requests: Iterable[Answered]) -> None:
        """These were answered."""
        if self._now() - self._since >= SECOND:
            self.flush()
        for request in requests:
            if (request.endpoint, request.status) == QUIET:
                continue
            if self._written >= LINES_MAX:
                self._left_out += 1
                continue
            self._written += 1
            self._logger.info("%s", line("request", _shown(request)))

    def flush(self) -> None:
        """A second is over: say how many requests had no line."""
        if self._left_out:
            self._logger.info("%s", line("requests_left_out", {"count": self._left_out}))
        self._since = self._now()
        self._written = self._left_out = 0


def _shown(request: Answered) -> dict[str, object]:
    path = request.path if len(request.path) <= PATH_MAX else f"{request.path[:PATH_MAX]}..."
    return {
        "method": request.method[:PATH_MAX],
        "path": path,
        "status": request.status,
        "ms": round(1000 * request.seconds, 1),
    }
