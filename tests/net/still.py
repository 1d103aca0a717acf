"""An event loop whose time passes only while nothing else can happen."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Selector(selectors.SelectSelector):
    """Jumps to the next moment instead of waiting for it."""

    loop: StillLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            if timeout is None:
                raise RuntimeError("nothing can happen any more")
            self.loop.now += timeout
        return found


class StillLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 1_000.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def play(story: Coroutine[Any, Any, Result]) -> Result:
    """Run a story; a real second of it takes none."""
    with asyncio.Runner(loop_factory=StillLoop) as runner:
        return runner.run(story)
