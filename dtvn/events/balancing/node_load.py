"""What the balancer knows of one node: load, health marks, and the node's own breaker."""

from __future__ import annotations

from collections import deque

import msgspec

from dtvn.events.balancing.call_breaker import BreakerState
from dtvn.events.config import LoadBalancerConfig

WINDOW_REQUESTS = 20
"""The error rate is that of the last 20 requests."""
WINDOW_REQUESTS_MIN = 5
"""With fewer requests a closed breaker stays closed."""


class NodeLoadInfo(msgspec.Struct, frozen=True):
    """A copy of what is known of one node."""

    node_id: str
    current_load: float
    response_time_ms: int | None
    """Of the last request; None before the first."""
    active_connections: int
    processed_requests: int
    failed_requests: int
    last_updated: float
    is_healthy: bool
    consecutive_fails: int
    consecutive_success: int
    weight: int
    circuit_state: BreakerState
    circuit_opened_at: float | None
    error_rate: float


class NodeLoad:
    """One node as the balancer sees it."""

    def __init__(self, node_id: str, config: LoadBalancerConfig, now: float) -> None:
        self.node_id = node_id
        self.current_load = 0.0
        self.response_time_ms: int | None = None
        self.active_connections = 0
        self.weight = 1
        self.is_healthy = True
        self.circuit_state = BreakerState.CLOSED
        self.probed_at = now
        self.tried = False
        """Whether a request was sent to it, answered or not."""
        self._config = config
        self._opened_at: float | None = None
        self._trial = False
        """Whether the one request that a half-open breaker admits is under way."""
        self._processed = self._failed = self._fails_in_row = self._successes_in_row = 0
        self._window: deque[bool] = deque(maxlen=WINDOW_REQUESTS)
        self._updated = now

    @property
    def error_rate(self) -> float:
        """Failed share of the requests in the window."""
        return self._window.count(False) / len(self._window) if self._window else 0.0

    def admits(self, now: float) -> bool:
        """Whether its breaker lets a request through; half-opens a breaker that was open for long enough."""
        if not self._config.enable_circuit_breaker:
            return True
        opened = now if self._opened_at is None else self._opened_at
        over = now - opened > self._config.circuit_breaker_timeout
        if self.circuit_state is BreakerState.OPEN and over:
            self.circuit_state = BreakerState.HALF_OPEN
            self._successes_in_row, self._trial = 0, False
        if self.circuit_state is BreakerState.HALF_OPEN:
            return not self._trial
        return self.circuit_state is BreakerState.CLOSED

    def begin(self) -> None:
        """A request is sent to it."""
        self.tried = True
        self.active_connections += 1
        self._trial = self.circuit_state is BreakerState.HALF_OPEN

    def end(self) -> None:
        """The request is over, or was given up."""
        self.active_connections = max(0, self.active_connections - 1)
        self._trial = False

    def record(self, *, success: bool, response_time: float, now: float) -> None:
        """The outcome of a request, which took `response_time` seconds."""
        self.tried = True
        self._processed += 1
        self._failed += not success
        self.response_time_ms = round(response_time * 1000)
        self._window.append(success)
        self._mark(success, now)
        self._step(now)

    def probe(self, *, success: bool, now: float) -> None:
        """The outcome of a ping: counts for the health marks, not for the error rate."""
        self.probed_at = now
        self._mark(success, now)

    def measure(self, load: float, response_time_ms: int, now: float) -> None:
        """What the node reports about itself."""
        self.current_load, self.response_time_ms = load, response_time_ms
        self._updated = now
        self._step(now)

    def info(self) -> NodeLoadInfo:
        """A copy of all that is known."""
        return NodeLoadInfo(
            node_id=self.node_id,
            current_load=self.current_load,
            response_time_ms=self.response_time_ms,
            active_connections=self.active_connections,
            processed_requests=self._processed,
            failed_requests=self._failed,
            last_updated=self._updated,
            is_healthy=self.is_healthy,
            consecutive_fails=self._fails_in_row,
            consecutive_success=self._successes_in_row,
            weight=self.weight,
            circuit_state=self.circuit_state,
            circuit_opened_at=self._opened_at,
            error_rate=self.error_rate,
        )

    def _mark(self, success: bool, now: float) -> None:
        self._updated = now
        if success:
            self._successes_in_row, self._fails_in_row = self._successes_in_row + 1, 0
            self.is_healthy |= self._successes_in_row >= self._config.healthy_threshold
        else:
            self._fails_in_row, self._successes_in_row = self._fails_in_row + 1, 0
            self.is_healthy &= self._fails_in_row < self._config.unhealthy_threshold

    def _step(self, now: float) -> None:
        """Update the breaker's state from the error rate and the health marks."""
        if not self._config.enable_circuit_breaker:
            return
        if self.circuit_state is BreakerState.HALF_OPEN:
            if self._fails_in_row:
                self._open(now)
            elif self._successes_in_row >= self._config.healthy_threshold:
                self.circuit_state, self._opened_at = BreakerState.CLOSED, None
                self._window.clear()
        elif self.circuit_state is BreakerState.CLOSED:
            enough = len(self._window) >= WINDOW_REQUESTS_MIN
            if enough and self.error_rate > self._config.circuit_breaker_threshold:
                self._open(now)

    def _open(self, now: float) -> None:
        self.circuit_state, self._opened_at = BreakerState.OPEN, now
