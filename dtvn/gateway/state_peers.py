"""Questions to the peers of a StateSynchronizer: breakers, attempts, pauses; and rounds of exchanges, in
which no peer waits for another."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from threading import Lock, Thread
from typing import Protocol

from dtvn.events.balancing import BreakerError, BreakerState, CallBreaker
from dtvn.events.config import CircuitBreakerConfig

__all__ = ["LOOK", "Asker", "Exchanges", "Peers", "StateSyncError", "half_done"]

logger = logging.getLogger(__name__)

LOOK = 0.1
"""Seconds between two looks whether this node stops."""
ROUND_TIMEOUT = 30.0
"""Most seconds of a round."""
GRACE = 1.0
"""Seconds that a round waits for the other peers once half of them are done, so that one that hangs does not
hold it up."""
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


class Exchanges:
    """Exchanges with peers, each in a thread of its own, at most one with a peer at a time: one that hangs
    holds up nobody else. Threads may share it."""

    def __init__(self, exchange: Callable[[str], None]) -> None:
        """`exchange`: one whole exchange with this peer; raises StateSyncError."""
        self._exchange = exchange
        self._running: dict[str, Future[None]] = {}
        self._following: dict[str, Future[None]] = {}
        self._lock = Lock()

    def begin(self, name: str) -> Future[None]:
        """An exchange that begins now, or once the one that runs is over. The future raises
        StateSyncError."""
        with self._lock:
            if name in self._running:
                return self._following.setdefault(name, Future())
            found = self._running[name] = Future()
            Thread(target=self._work, args=(name, found), name="state-sync-peer", daemon=True).start()
            return found

    def _work(self, name: str, due: Future[None] | None) -> None:
        while due is not None:
            try:
                self._exchange(name)
            except StateSyncError as error:
                due.set_exception(error)
            except Exception as error:
                logger.exception("state synchronisation with %s failed", name)
                due.set_exception(StateSyncError(f"{name}: {error}"))
            else:
                due.set_result(None)
            with self._lock:
                due = self._following.pop(name, None)
                if due is None:
                    del self._running[name]
                else:
                    self._running[name] = due


def half_done(runs: Iterable[Future[None]], stopping: Callable[[], bool]) -> None:
    """Wait for the exchanges of a round; raise StateSyncError if more than half of them failed, or did not
    end in ROUND_TIMEOUT, or before this node stops."""
    left = set(runs)
    count, failed = len(left), list[str]()
    until = time.monotonic() + ROUND_TIMEOUT
    while left and 2 * len(failed) <= count and not stopping() and time.monotonic() < until:
        done, left = wait(left, LOOK, FIRST_COMPLETED)
        failed += [str(run.exception()) for run in done if run.exception()]
        if 2 * (count - len(left) - len(failed)) >= count:
            until = min(until, time.monotonic() + GRACE)
    if 2 * len(failed) > count:
        raise StateSyncError(f"{len(failed)} of {count} peers failed: {'; '.join(failed[:3])}")
    if 2 * (len(failed) + len(left)) > count:
        why = "this node stops" if stopping() else f"{ROUND_TIMEOUT:g} s are over"
        raise StateSyncError(f"timeout: {count - len(left)} of {count} peers were done, and {why}")
