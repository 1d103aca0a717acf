"""Between the loop and the server: the loop publishes a snapshot, whoever scrapes gets a page made of it."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from validators.node.metrics.api import ApiFigures
from validators.node.metrics.disk import DiskWatch
from validators.node.metrics.page import Page
from validators.node.metrics.server import MetricsServer
from validators.node.metrics.snapshot import Snapshot, Value, take
from validators.node.options import MetricsOptions, StartError
from validators.node.watcher import line

if TYPE_CHECKING:
    from validators.node.build import Node

__all__ = ["Exporter"]

RETRY_NS = 10_000_000_000
"""Between two tries to listen on a port that somebody else has."""

FRESH_FOR = 0.5
"""Seconds for which one page is everybody's answer."""


class Exporter:
    """The metrics of one node. `publish` is the loop's; `page` runs in the server's threads."""

    def __init__(self, options: MetricsOptions | None, logger: logging.Logger) -> None:
        """Listen; raise StartError when somebody else has a port that this node was told to take. None:
        nobody asks for metrics, and nothing is gathered."""
        self._options = options
        self.api = ApiFigures()
        self._logger = logger
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._page = Page()
        self._rendered = (0.0, b"")
        self._tried_at = 0
        self._server: MetricsServer | None = None
        self._disk: DiskWatch | None = None
        self._complained = False
        self._listen()

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens; None while it does not."""
        return self._server.address if self._server is not None else None

    def publish(self, node: Node) -> None:
        """Show how the node is now: called by the loop at most once a second."""
        if self._options is None:
            return
        if self._disk is None:
            self._disk = DiskWatch(node.ledger.location.folder)
        self._snapshot = take(node)
        if self._server is None and time.monotonic_ns() - self._tried_at >= RETRY_NS:
            self._listen()

    def page(self) -> bytes:
        """The newest figures as text; concurrent askers share one page."""
        with self._lock:
            made_at, content = self._rendered
            if not content or time.monotonic() - made_at > FRESH_FOR:
                content = self._page.render(self._values())
                self._rendered = (time.monotonic(), content)
            return content

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _values(self) -> dict[str, Value]:
        snapshot, disk = self._snapshot, self._disk
        if snapshot is None or disk is None:
            return {}
        return {
            **snapshot.values,
            "dtvn_figures_age_seconds": (time.monotonic_ns() - snapshot.taken_at) / 1e9,
            **self.api.values(),
            **disk.look(),
        }

    def _listen(self) -> None:
        options = self._options
        if options is None:
            return
        self._tried_at = time.monotonic_ns()
        try:
            self._server = MetricsServer((options.host, options.port), self.page)
        except OSError as error:
            place = f"{options.host}:{options.port}"
            reason = f"Cannot serve metrics on {place}: {os.strerror(error.errno or 0)}"
            if options.needed:
                raise StartError(f"{reason}; choose another with -metrics-port, or 0 for none.") from error
            if not self._complained:
                self._logger.error("%s", line("metrics_off", {"reason": f"{reason}; it is tried again."}))
            self._complained = True
            return
        host, port = self._server.address
        self._logger.info("%s", line("metrics", {"url": f"http://{_shown(host)}:{port}/metrics"}))


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
