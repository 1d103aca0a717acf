"""Requests that are sent again until each has a final answer: one rule, for threads and for coroutines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")

TRY_AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which the same request is sent again with the same nonce (R13, R14)."""
UNAVAILABLE = 503
BATCH_SIZE = 1_000
"""Requests sent at once: one bundle of the gateway."""
PAUSE_FIRST = 0.1
PAUSE_MAX = 2.0
"""Longest pause in seconds; the pause doubles up to this, unless the platform asks for longer."""
RETRY_AFTER_MAX = 10.0


class NetworkSilent(Exception):
    """No answer within the allowed time; the requests that were sent may or may not have been executed."""


class Refused(Exception):
    """The platform answered with a refusal that retrying will not change."""


class Answer(NamedTuple):
    """An answer to one request; final unless its status is in TRY_AGAIN."""

    status: int
    content: Any = None
    retry_after: float = 0.0
    """Seconds that the platform asks to wait for."""


class _Waiting(Generic[T]):
    """Requests without a final answer."""

    def __init__(self, requests: Sequence[T], patience: float, size: int) -> None:
        self._requests, self._patience, self._size = list(requests), patience, size
        self._give_up_at = time.monotonic() + patience
        self._attempt = 1
        self._asked_pause = 0.0
        self._undecided = False

    def batch(self) -> list[T]:
        """What is sent next; empty at the end."""
        return self._requests[: self._size]

    def take(self, answers: Sequence[Answer]) -> list[tuple[T, Answer]]:
        """Take the answers to the batch, in its order; those that are missing are not final. Returns the
        final ones."""
        batch = self.batch()
        missing = [Answer(UNAVAILABLE)] * (len(batch) - len(answers))
        pairs = list(zip(batch, [*answers, *missing], strict=True))
        final = [pair for pair in pairs if pair[1].status not in TRY_AGAIN]
        undecided = [request for request, answer in pairs if answer.status in TRY_AGAIN]
        self._requests[: self._size] = undecided
        self._undecided = bool(undecided)
        self._asked_pause = max((answer.retry_after for answer in answers), default=0.0)
        if final:
            self._attempt, self._give_up_at = 1, time.monotonic() + self._patience
        return final

    def pause(self) -> float:
        """Seconds until the next batch is sent. Raises NetworkSilent if none was final for too long."""
        if not self._undecided:
            return 0.0
        if time.monotonic() >= self._give_up_at:
            raise NetworkSilent(f"no final answer for {self._patience:.0f} s")
        self._attempt += 1
        return pause_before(self._attempt, self._asked_pause)


def until_final(
    ask: Callable[[list[T]], Sequence[Answer]],
    requests: Sequence[T],
    *,
    patience: float,
    size: int = BATCH_SIZE,
) -> Iterator[tuple[T, Answer]]:
    """Each request with its final answer, as they come. `ask` sends up to `size` of them and returns their
    answers in this order. Raises NetworkSilent after `patience` seconds without a final one, and what `ask`
    raises."""
    waiting = _Waiting(requests, patience, size)
    while batch := waiting.batch():
        yield from waiting.take(ask(batch))
        if pause := waiting.pause():
            time.sleep(pause)


async def until_final_async(
    ask: Callable[[list[T]], Awaitable[Sequence[Answer]]],
    requests: Sequence[T],
    *,
    patience: float,
    size: int = BATCH_SIZE,
) -> AsyncIterator[tuple[T, Answer]]:
    """As `until_final`, for a coroutine."""
    waiting = _Waiting(requests, patience, size)
    while batch := waiting.batch():
        for pair in waiting.take(await ask(batch)):
            yield pair
        if pause := waiting.pause():
            await asyncio.sleep(pause)


def pause_before(attempt: int, retry_after: float = 0.0) -> float:
    """Seconds to wait before attempt 2, 3, ...: as the platform asks, else doubling."""
    pause = min(PAUSE_MAX, PAUSE_FIRST * 2 ** min(attempt - 2, 10))
    return min(max(pause, retry_after), RETRY_AFTER_MAX)
