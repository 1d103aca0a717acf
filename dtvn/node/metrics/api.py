"""Counters of a node's own API, filled by the ApiHelper: requests, answer times, open sockets."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from dtvn.node.metrics.names import counter, gauge, histogram

OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ApiFigures:
    """Counters of one API. Thread-safe. `endpoint` is a route's pattern, never a raw path."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = counter("api_requests_total", self.registry)
        self._latency = histogram("api_latency_seconds", self.registry)
        self.sockets = gauge("websocket_connections", self.registry)
        self.faults = counter("dtvn_api_unforeseen_errors_total", self.registry)

    def answered(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        """Count an answered request to the route `endpoint` (for example `/api/v1/tickets/{id}`)."""
        method = method if method in METHODS else OTHER
        self._requests.labels(method, endpoint, str(status)).inc()
        self._latency.labels(method, endpoint).observe(seconds)
