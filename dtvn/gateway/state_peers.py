"""Questions to the peers of a StateSynchronizer: breakers, attempts, pauses."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Protocol

from dtvn.events.balancing import BreakerError, BreakerState, CallBreaker
from dtvn.events.config import CircuitBreakerConfig

__all__ = ["ASK_TIMEOUT", "Asker", "Peers", "StateSyncError"]

ASK_TIMEOUT = 10.0
"""Seconds for one question."""
BACKOFF = 0.1
"""Seconds before the second attempt; each further pause is twice as long, and half as long again by
chance."""
PAUSE_MAX = 10.0


class StateSyncError(RuntimeError):
    """A synchronisation that failed; the text says with whom and why."""


class Peers(Protocol):
    """What carries questions to other nodes: `dtvn.net.QuestionLinks`, or a program's own."""

    def active(self) -> Sequence[str]:
        """Names of the nodes to synchronise with."""

    def ask(self, name: str, body: bytes, timeout: float) -> bytes:
        """A node's answer to a question, within so many seconds; raises OSError without one."""


class Asker:
    """Asks with a breaker for each peer, and again after a failure. Threads may share it; no lock is held
    while it waits for an answer."""

    def __init__(
        self,
        peers: Peers,
        *,
        attempts: int,
        breaker: CircuitBreakerConfig,
        wait: Callable[[float], bool],
        chance: random.Random,
    ) -> None:
        """`attempts`: for one question. `wait`: waits so many seconds, and says whether this node is
        stopping."""
        self._peers = peers
        self._attempts = max(1, attempts)
        self._config = breaker
        self._wait = wait
        self._chance = chance
        self._breakers: dict[str, CallBreaker] = {}
        self._lock = Lock()

    def ask(self, name: str, body: bytes) -> bytes:
        """A peer's answer; raise StateSyncError when all attempts failed or its breaker is open."""
        for attempt in range(self._attempts):
            if attempt and self._wait(self._pause(attempt - 1)):
                break
            try:
                return self._once(name, body)
            except BreakerError as error:
                raise StateSyncError(f"{name}: {error}") from error
            except OSError as error:
                last = error
        raise StateSyncError(f"{name}: max retries exceeded: {last}") from last

    def states(self) -> dict[str, BreakerState]:
        """Peer -> state of its breaker."""
        with self._lock:
            return {name: breaker.state for name, breaker in sorted(self._breakers.items())}

    def _once(self, name: str, body: bytes) -> bytes:
        with self._lock:
            breaker = self._breakers.setdefault(name, CallBreaker(self._config))
            permit = breaker.begin(time.monotonic())
        limit = min(ASK_TIMEOUT, self._config.timeout) if self._config.timeout else ASK_TIMEOUT
        try:
            answer = self._peers.ask(name, body, limit)
        except OSError:
            with self._lock:
                breaker.fail(permit, time.monotonic())
            raise
        except Exception as error:
            with self._lock:
                failed = breaker.panic(permit, time.monotonic(), error)
            raise failed from error
        with self._lock:
            breaker.succeed(permit, time.monotonic(), allowed=limit)
        return answer

    def _pause(self, attempt: int) -> float:
        pause = BACKOFF * 2**attempt
        return min(PAUSE_MAX, pause + self._chance.uniform(0, pause / 2))
