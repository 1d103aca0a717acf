"""Connects the loop and the metrics server: a scrape makes the loop publish a snapshot, and gets its page."""

from __future__ import annotations

import logging
import os
import threading
import time

from dtvn.node.metrics.api import ApiFigures
from dtvn.node.metrics.disk import DiskWatch
from dtvn.node.metrics.page import Page
from dtvn.node.metrics.server import MetricsServer
from dtvn.node.metrics.snapshot import MeasuredMember, Snapshot, Value, take
from dtvn.node.options import MetricsOptions, StartError
from dtvn.node.watcher import line

__all__ = ["Exporter", "shown_host"]

RETRY_NS = 10_000_000_000
"""Nanoseconds between two attempts to listen on a port that another program uses."""

SNAPSHOT_SPACE_NS = 100_000_000
"""Nanoseconds between two snapshots that are taken for scrapes: many scrapers cost no more than one."""
FRESH_PATIENCE = 0.5
"""Seconds that a scrape waits for new figures; if the loop takes longer, the page shows the last ones."""


class Exporter:
    """The metrics of one node. The loop calls `publish`; `page` runs in the server's threads."""

    def __init__(
        self, options: MetricsOptions | None, logger: logging.Logger, api: ApiFigures | None = None
    ) -> None:
        """Listen; raise StartError if another program uses a port that the operator asked for. `options`
        None: metrics are off, and nothing is gathered. `api`: the counters of the node's own API."""
        self._options = options
        self.api = api or ApiFigures()
        self._logger = logger
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._page = Page()
        self._rendered = (0, b"")
        """The last page, after its time (monotonic nanoseconds)."""
        self._asked_at = 0
        self._published = threading.Condition()
        self._tried_at = 0
        self._server: MetricsServer | None = None
        self._disk: DiskWatch | None = None
        self._complained = False
        self._listen()

    @property
    def address(self) -> tuple[str, int] | None:
        """(host, port) on which the server listens; None while it does not."""
        return self._server.address if self._server is not None else None

    def publish(self, node: MeasuredMember) -> None:
        """Take a snapshot of the node; the loop calls this once a second and when a scrape waits."""
        if self._options is None:
            return
        if self._disk is None:
            self._disk = DiskWatch(node.ledger.location.folder)
        snapshot = take(node)
        with self._published:
            self._snapshot = snapshot
            self._published.notify_all()
        if self._server is None and time.monotonic_ns() - self._tried_at >= RETRY_NS:
            self._listen()

    def wanted(self) -> bool:
        """Whether a scrape waits for newer figures; the loop calls this at every turn."""
        snapshot = self._snapshot
        return (
            snapshot is not None
            and self._asked_at > snapshot.taken_at
            and time.monotonic_ns() - snapshot.taken_at >= SNAPSHOT_SPACE_NS
        )

    def page(self) -> bytes:
        """The present figures as text; concurrent scrapes share one page."""
        asked_at = time.monotonic_ns()
        with self._published:
            self._asked_at = asked_at
            self._published.wait_for(lambda: self._is_newer(asked_at), FRESH_PATIENCE)
        with self._lock:
            made_at, content = self._rendered
            if made_at < asked_at:
                made_at = time.monotonic_ns()
                content = self._page.render(self._values())
                self._rendered = (made_at, content)
            return content

    def _is_newer(self, asked_at: int) -> bool:
        """Whether a scrape needs to wait no longer, which includes the time before the first snapshot."""
        return self._snapshot is None or self._snapshot.taken_at >= asked_at

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
        self._logger.info("%s", line("metrics", {"url": f"http://{shown_host(host)}:{port}/metrics"}))


def shown_host(host: str) -> str:
    """A host as it is written in a URL."""
    return f"[{host}]" if ":" in host else host
