"""What of a failing run is needed to fail: faults, calls and liars are left out while it still fails.

Delta debugging (Zeller & Hildebrandt, 2002) in its simple form: halves first, then quarters, down to one by
one. Each fault and call draws from a stream of its own, so leaving one out changes no other.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from simulator.campaign import Cut, Report, Task, run
from simulator.clock import MILLISECOND
from simulator.violation import Interrupted
from simulator.worlds import world_of

__all__ = ["shrink"]

RUNS_MAX = 200
"""Runs that are tried at most: a seed takes about a second."""


def shrink(task: Task, tell: Callable[[str], None] | None = None) -> Report | None:
    """The smallest failing run that was found, or None when the task does not fail. It counts as failing
    when the same checker complains, whatever its sentence. Interrupted before it knows whether the task
    fails, it raises; later it is content with what it has, and `ended` says so."""
    return _Shrinker(task, tell or (lambda _line: None)).find()


class _Shrinker:
    def __init__(self, task: Task, tell: Callable[[str], None]) -> None:
        self._task = task
        self._tell = tell
        self._runs = 0
        self._checker: str | None = None
        self._best: Report | None = None

    def find(self) -> Report | None:
        """See shrink."""
        first = run(self._task)
        if first.violation is None:
            return None
        self._best, self._checker = first, first.checker
        try:
            self._lessen(first)
        except Interrupted:
            self._best.ended = "interrupted"
        return self._best

    def _lessen(self, first: Report) -> None:
        drawn = world_of(self._task.world, self._task.seed)
        self._tell(f"{first.violation}: {first.faults} faults, {first.calls} calls")
        if self._task.cut.duration == 0 and first.virtual_time < drawn.duration:
            self._try(msgspec.structs.replace(self._task.cut, duration=first.virtual_time + MILLISECOND))
        self._thin("liars", len(drawn.adversaries))
        self._thin("faults", first.faults)
        self._thin("calls", first.calls)
        self._thin("faults", first.faults)

    def _try(self, cut: Cut) -> bool:
        """Whether it fails as before; then it is the new measure."""
        if self._runs >= RUNS_MAX:
            return False
        self._runs += 1
        task = msgspec.structs.replace(self._task, cut=cut)
        report = run(task)
        if report.checker != self._checker:
            return False
        self._task, self._best = task, report
        return True

    def _thin(self, what: str, count: int) -> None:
        kept = [number for number in range(count) if number not in getattr(self._task.cut, what)]
        size = len(kept)
        while size:
            place = 0
            while place < len(kept):
                without = kept[place : place + size]
                left_out = getattr(self._task.cut, what) | frozenset(without)
                if self._try(msgspec.structs.replace(self._task.cut, **{what: left_out})):
                    del kept[place : place + size]
                else:
                    place += size
            size = size // 2
        self._tell(f"{len(kept)} {what} are needed ({self._runs} runs)")
