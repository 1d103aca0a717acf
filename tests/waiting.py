"""The one place where tests pause: between two looks at what they wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

PATIENCE = 90.0
"""Seconds until a wait counts as failed. What passes never waits so long: it is generous, for machines that
do other things as well. Only a time that somebody was promised is given to `wait_until` as a number."""

MARGIN = 3.0
"""Promised times hold on a machine of its own; tests share theirs, and allow this many times as much."""

STALL = 3.0
"""Seconds besides for which any process may stand still there, at any line: a promise of one second is not
shown to be broken by one such moment."""


def allowed(promised: float) -> float:
    """Seconds after which a test regards a promised time as exceeded."""
    return MARGIN * promised + STALL


def wait_until(
    look: Callable[[], Found],
    *,
    what: str | Callable[[], str],
    timeout: float = PATIENCE,
    pause: float = 0.02,
) -> Found:
    """Call `look()` repeatedly until its result is truthy, and return that result.

    Fails with `what` (text, or a function that gives it at that moment) after `timeout` seconds. The last
    look begins after them, however long looks take; time in which this process stood still does not count.
    """
    deadline = time.monotonic() + timeout
    while True:
        begun = time.monotonic()
        found = look()
        if found:
            return found
        if begun > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what() if callable(what) else what}")
        awake = time.monotonic() + pause
        time.sleep(pause)
        deadline += max(0.0, time.monotonic() - awake)


async def until(true: Callable[[], object], *, pause: float = 0.01) -> None:
    """The same in a test whose loop turns meanwhile; its caller bounds the time."""
    while not true():  # noqa: ASYNC110 - what a test looks at has no event
        await asyncio.sleep(pause)
