"""Barriers that readers share: who waits for which one, and when a checkpoint is passed (R18).

A linearizable read has an empty operation ordered, its barrier, before it looks. A reader may share one that
was sent after the reader asked, never one sent before: what was decided in between would be missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["SharedBarriers", "passed_checkpoint"]

Waiting = TypeVar("Waiting")
"""Whatever stands for the readers of one barrier."""


class SharedBarriers(Generic[Waiting]):
    """One barrier under way at a time, and one that is sent after it, for all who came meanwhile."""

    def __init__(self) -> None:
        self._running = False
        self._next: Waiting | None = None

    def join(self, make: Callable[[], Waiting]) -> Waiting:
        """The readers of the barrier that is sent next; `make` makes them for the first of them."""
        if self._next is None:
            self._next = make()
        return self._next

    def begin(self) -> Waiting | None:
        """The readers of the barrier to be sent now; None: one is under way, or no reader waits."""
        if self._running or self._next is None:
            return None
        readers, self._next = self._next, None
        self._running = True
        return readers

    def end(self) -> None:
        """The one under way is ordered, or was given up."""
        self._running = False


def passed_checkpoint(known: int, reached: int, interval: int) -> bool:
    """Whether a log at sequence `reached` has a checkpoint above sequence `known`."""
    return reached // interval > known // interval
