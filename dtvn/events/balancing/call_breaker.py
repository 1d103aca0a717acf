"""The breaker around calls to others. Times are seconds of a monotonic clock.

| state | a call | leaves it |
|---|---|---|
| closed | passes | `max_failures` failures in a row, or `should_trip`: open |
| open | is refused | after `reset_timeout`: half-open |
| half-open | passes, `half_open_max_calls` in all | `success_threshold` successes: closed; a failure: open |

The breaker never holds anything across a call: `begin` gives a permit, `succeed` or `fail` ends it.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec

from dtvn.events.config import CircuitBreakerConfig


class BreakerState(IntEnum):
    """States and their numbers."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2


class BreakerCode(StrEnum):
    """Codes of a BreakerError."""

    OPEN = "CIRCUIT_BREAKER_OPEN"
    TIMEOUT = "CIRCUIT_BREAKER_TIMEOUT"
    PANIC = "CIRCUIT_BREAKER_PANIC"


class Counts(msgspec.Struct):
    """Calls since the breaker last changed its state to closed or half-open."""

    requests: int = 0
    total_successes: int = 0
    total_failures: int = 0
    consecutive_successes: int = 0
    consecutive_failures: int = 0


class BreakerError(RuntimeError):
    """A call that was refused or that went wrong."""

    def __init__(self, code: BreakerCode, text: str, details: dict[str, str | int | float]) -> None:
        super().__init__(text)
        self.code = code
        self.details = details
        """circuit_breaker, state, consecutive_failures, max_failures; retry_after (seconds) if refused."""


class Permit(msgspec.Struct, frozen=True):
    """Permission to make one call."""

    started: float
    generation: int


class Stats(msgspec.Struct, frozen=True):
    """A breaker's statistics, as pages show them. Rates are 0.0 without requests."""

    name: str
    state: BreakerState
    counts: Counts
    success_rate: float
    failure_rate: float


class CallBreaker:
    """One breaker."""

    def __init__(self, config: CircuitBreakerConfig) -> None:
        self.config = config
        self.state = BreakerState.CLOSED
        self.counts = Counts()
        self._opened_at = 0.0
        self._generation = 0

    def begin(self, now: float) -> Permit:
        """Permission to make a call; raises BreakerError CIRCUIT_BREAKER_OPEN."""
        if self.state is BreakerState.OPEN and now - self._opened_at >= self.config.reset_timeout:
            self._enter(BreakerState.HALF_OPEN)
        trials_used = self.counts.requests >= self.config.half_open_max_calls
        if self.state is BreakerState.OPEN or (self.state is BreakerState.HALF_OPEN and trials_used):
            raise self._error(BreakerCode.OPEN, "is open", self._retry_after(now))
        self.counts.requests += 1
        return Permit(now, self._generation)

    def succeed(self, permit: Permit, now: float, allowed: float = 0.0) -> None:
        """The call ended well; raises BreakerError CIRCUIT_BREAKER_TIMEOUT if it took longer than `timeout`,
        and than `allowed` seconds, which this call may take."""
        limit = max(self.config.timeout, allowed)
        if self.config.timeout > 0 and now - permit.started > limit:
            self._failed(permit, now)
            raise self._error(BreakerCode.TIMEOUT, f"a call took longer than {limit} s")
        if permit.generation != self._generation:
            return
        self.counts.total_successes += 1
        self.counts.consecutive_successes += 1
        self.counts.consecutive_failures = 0
        needed = min(self.config.success_threshold, self.config.half_open_max_calls)
        enough = self.counts.consecutive_successes >= needed
        if self.state is BreakerState.HALF_OPEN and enough:
            self._enter(BreakerState.CLOSED)

    def fail(self, permit: Permit, now: float) -> None:
        """The call answered with an error, or was given up."""
        self._failed(permit, now)

    def panic(self, permit: Permit, now: float, cause: Exception) -> BreakerError:
        """The call raised: counts as a failure. Returns the error to raise from `cause`."""
        self._failed(permit, now)
        return self._error(BreakerCode.PANIC, f"a call raised {type(cause).__name__}")

    def reset(self) -> None:
        """Closes the breaker manually and clears all counts."""
        self._enter(BreakerState.CLOSED)

    def trip(self, now: float) -> None:
        """Opens the breaker manually."""
        self._open(now)

    def stats(self) -> Stats:
        """A copy of its state."""
        counts = msgspec.structs.replace(self.counts)
        done = counts.total_successes + counts.total_failures
        share = counts.total_successes / done if done else 0.0
        return Stats(self.config.name, self.state, counts, share, 1 - share if done else 0.0)

    def _failed(self, permit: Permit, now: float) -> None:
        if permit.generation != self._generation:
            return
        self.counts.total_failures += 1
        self.counts.consecutive_failures += 1
        self.counts.consecutive_successes = 0
        many = self.counts.consecutive_failures >= self.config.max_failures
        if self.state is BreakerState.HALF_OPEN or many or self._trips():
            self._open(now)

    def _trips(self) -> bool:
        """What `should_trip` says; True if it raises, since the call that failed is not to raise that."""
        try:
            return self.config.should_trip is not None and bool(self.config.should_trip(self.counts))
        except Exception:  # noqa: BLE001 - a caller's own
            return True

    def _open(self, now: float) -> None:
        """Keeps the counts, which show why it opened."""
        self.state = BreakerState.OPEN
        self._opened_at = now
        self._generation += 1

    def _enter(self, state: BreakerState) -> None:
        """Calls that began earlier do not count in the new state."""
        self.state = state
        self.counts = Counts()
        self._generation += 1

    def _retry_after(self, now: float) -> float:
        if self.state is BreakerState.HALF_OPEN:
            return 0.0
        return max(0.0, self._opened_at + self.config.reset_timeout - now)

    def _error(self, code: BreakerCode, said: str, retry_after: float | None = None) -> BreakerError:
        details: dict[str, str | int | float] = {
            "circuit_breaker": self.config.name,
            "state": self.state.name,
            "consecutive_failures": self.counts.consecutive_failures,
            "max_failures": self.config.max_failures,
        }
        if retry_after is not None:
            details["retry_after"] = retry_after
        return BreakerError(code, f"circuit breaker {self.config.name}: {said}", details)


class CallBreakers:
    """The breakers of one validator, by name; the first configuration of a name stays."""

    def __init__(self) -> None:
        self._breakers: dict[str, CallBreaker] = {}

    def get(self, config: CircuitBreakerConfig) -> CallBreaker:
        """The breaker with this name."""
        return self._breakers.setdefault(config.name, CallBreaker(config))

    def named(self, name: str) -> CallBreaker | None:
        """The breaker with this name, if there is one."""
        return self._breakers.get(name)

    def stats(self) -> list[Stats]:
        """Statistics of each breaker, by name."""
        return [self._breakers[name].stats() for name in sorted(self._breakers)]
