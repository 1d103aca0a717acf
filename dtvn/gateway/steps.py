"""Calls that wait for the cluster several times, written once for threads and event loops: generators that
yield each future, or pause in seconds, and are sent the future's result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

Done = TypeVar("Done")
Steps = Generator[Future[Any] | float, Any, Done]


def waited(steps: Steps[Done], seconds: float) -> Done:
    """Runs a call in this thread, waiting up to `seconds` for each future. Returns its result; a future's
    exception, or TimeoutError, is raised inside the call."""
    go_on = partial(next, steps)
    try:
        while True:
            step = go_on()
            try:
                result: Any = None
                if isinstance(step, Future):
                    result = step.result(seconds)
                else:
                    time.sleep(step)
            except BaseException as error:  # noqa: BLE001 - for the call to handle
                go_on = partial(steps.throw, error)
            else:
                go_on = partial(steps.send, result)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


async def awaited(steps: Steps[Done], seconds: float) -> Done:
    """Runs a call in this event loop, as `waited` does in a thread; a cancellation is raised inside the
    call."""
    go_on = partial(next, steps)
    try:
        while True:
            step = go_on()
            try:
                result: Any = None
                if isinstance(step, Future):
                    async with asyncio.timeout(seconds):  # wait_for may lose a cancellation
                        result = await asyncio.wrap_future(step)
                else:
                    await asyncio.sleep(step)
            except BaseException as error:  # noqa: BLE001 - for the call to handle
                go_on = partial(steps.throw, error)
            else:
                go_on = partial(steps.send, result)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
