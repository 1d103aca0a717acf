"""Calls that wait for the cluster several times, written once for threads and event loops: generators that
yield each future, or pause in seconds, and are sent the future's result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from concurrent.futures import Future
from typing import Any, TypeVar

Done = TypeVar("Done")
Steps = Generator[Future[Any] | float, Any, Done]


def waited(steps: Steps[Done], seconds: float) -> Done:
    """The result of a call, waited for in this thread; each future for at most so many seconds."""
    result: Any = None
    try:
        while True:
            step = steps.send(result)
            result = step.result(seconds) if isinstance(step, Future) else time.sleep(step)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        steps.close()


async def awaited(steps: Steps[Done], seconds: float) -> Done:
    """The same in this event loop. A cancelled call is closed where it waits."""
    result: Any = None
    try:
        while True:
            step = steps.send(result)
            if isinstance(step, Future):
                result = await asyncio.wait_for(asyncio.wrap_future(step), seconds)
            else:
                result = await asyncio.sleep(step)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        steps.close()
