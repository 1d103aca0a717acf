"""Serves a node's metrics: a scrape makes the loop publish a snapshot, and shows its values."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from dtvn.node.metrics.api import ApiFigures
from dtvn.node.metrics.disk import DiskWatch
from dtvn.node.metrics.names import ALL
from dtvn.node.metrics.server import MetricsServer
from dtvn.node.metrics.snapshot import MeasuredMember, Snapshot, Value, take
from dtvn.node.options import MetricsOptions, StartError
from dtvn.node.watcher import line

RETRY_NS = 10_000_000_000
"""Nanoseconds between two attempts to listen on a port that another program uses."""

SNAPSHOT_SPACE_NS = 100_000_000
"""Nanoseconds between two snapshots that are taken for scrapes: many scrapers cost no more than one."""
FRESH_PATIENCE = 0.5
"""Seconds that a scrape waits for new figures; if the loop takes longer, the page shows the last ones."""

Family = CounterMetricFamily | GaugeMetricFamily


class Exporter(Collector):
    """The metrics of one node. The loop calls `publish`; `collect` runs in the server's threads."""

    def __init__(
        self, options: MetricsOptions | None, logger: logging.Logger, api: ApiFigures | None = None
    ) -> None:
        """Listen; raise StartError if another program uses a port that the operator asked for. `options`
        None: metrics are off, and nothing is gathered. `api`: the counters of the node's own API."""
        disable_created_metrics()
        self._options = options
        self._logger = logger
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._registry.register((api or ApiFigures()).registry)
        ProcessCollector(registry=self._registry)
        self._snapshot: Snapshot | None = None
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
        return None if self._server is None else self._server.address

    def publish(self, node: MeasuredMember) -> None:
        """Take a snapshot of the node; the loop calls this once a second and when a scrape waits."""
        if self._options is None:
            return
        if self._disk is None:
            self._disk = DiskWatch(node.ledger.location.folder)
            self._registry.register(node.figures.registry)
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

    def collect(self) -> Iterable[Family]:
        """The values that are not counted by prometheus_client itself, as of now if the loop keeps up."""
        asked_at = time.monotonic_ns()
        with self._published:
            self._asked_at = asked_at
            self._published.wait_for(lambda: self._is_newer(asked_at), FRESH_PATIENCE)
        return _families(self._values())

    def _is_newer(self, asked_at: int) -> bool:
        """Whether a scrape needs to wait no longer, which includes the time before the first snapshot."""
        return self._snapshot is None or self._snapshot.taken_at >= asked_at

    def close(self) -> None:
        """Stop listening; answers that are being sent end by themselves."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _values(self) -> dict[str, Value]:
        snapshot, disk = self._snapshot, self._disk
        if snapshot is None or disk is None:
            return {}
        age = (time.monotonic_ns() - snapshot.taken_at) / 1e9
        return {**snapshot.values, "dtvn_figures_age_seconds": age, **disk.look()}

    def _listen(self) -> None:
        options = self._options
        if options is None:
            return
        self._tried_at = time.monotonic_ns()
        try:
            self._server = MetricsServer(
                (options.host, options.port), lambda: generate_latest(self._registry)
            )
        except OSError as error:
            place = f"{options.host}:{options.port}"
            reason = f"Cannot serve metrics on {place}: {os.strerror(error.errno or 0)}"
            if options.needed:
                raise StartError(f"{reason}; choose another with -metrics-port, or 0 for none.") from error
            if not self._complained:
                self._logger.error("%s", line("metrics_off", {"reason": f"{reason}; trying again."}))
            self._complained = True
            return
        host, port = self._server.address
        self._logger.info("%s", line("metrics", {"url": f"http://{shown_host(host)}:{port}/metrics"}))


def _families(values: Mapping[str, Value]) -> Iterable[Family]:
    """The metrics of `values`, in the order of the table."""
    for metric in ALL:
        if (value := values.get(metric.name)) is None:
            continue
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.text, labels=metric.labels)
        for labels, one in sorted(value.items()) if isinstance(value, Mapping) else [((), value)]:
            family.add_metric(labels, one)
        yield family


def shown_host(host: str) -> str:
    """A host as it is written in a URL."""
    return f"[{host}]" if ":" in host else host
