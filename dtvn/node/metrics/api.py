"""Counters of a node's own API, filled by the ApiHelper: requests, answer times, open sockets."""

from __future__ import annotations

import threading
from collections import Counter

from dtvn.node.metrics.figures import Histogram
from dtvn.node.metrics.snapshot import Value

__all__ = ["ApiFigures"]

OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ApiFigures:
    """Counters of one API. Thread-safe. `endpoint` is a route's pattern, never a raw path (spec/dtvn 6)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._latency: dict[tuple[str, str], Histogram] = {}
        self.sockets = 0
        """Open WebSockets."""
        self.faults = 0
        """Unforeseen errors of the API."""

    def answered(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count an answered request to the route `endpoint` (for example `/api/v1/tickets/{id}`)."""
        method = method if method in METHODS else OTHER
        with self._lock:
            self._requests[method, endpoint, str(status)] += 1
            self._latency.setdefault((method, endpoint), Histogram()).add(seconds)

    def values(self) -> dict[str, Value]:
        """The values by metric name."""
        with self._lock:
            return {
                "api_requests_total": dict(self._requests),
                "api_latency_seconds": {labels: found.copy() for labels, found in self._latency.items()},
                "websocket_connections": self.sockets,
                "dtvn_api_unforeseen_errors_total": self.faults,
            }
