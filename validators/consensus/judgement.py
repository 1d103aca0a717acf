"""Phase: does the primary do its work well enough? (R30 fairness, R32; PITFALLS rows 14 and 21)

`suspicion` knows whether a primary works at all; what is here are grounds against one that is alive:

* *unfair*: a request waits longer than 4 T, while two windows of requests first seen after it were
  executed, or a few that were first seen when it had waited 2 T already.
* *slow*, where a full batch waited here all the time: less than 70 % of the throughput that the best of
  the last five views had under the same condition.
* *slow* otherwise: requests that found less than a batch before them, or whose turn comes soon, wait too
  long from first sight to PRE-PREPARE. Those that stand in a long queue do not count: no primary is quick
  then.

A healthy primary under a burst has a full batch waiting; under falling load it has none and answers at
once. To be wrong costs a view change, so `slow` deposes at most one primary in 30 s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING

from validators.consensus.pool import Pending

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["SLOW", "UNFAIR", "Judgement"]

SLOW = "slow_primary"
UNFAIR = "unfair_primary"

SECOND = 1_000_000_000
WAIT_MAX = 4
"""Times T that a request may wait while later ones pass it."""
WINDOWS_OVERTAKEN = 2
LATECOMERS_AFTER = 2
"""Times T after which a request that waits is passed by nobody new, whose primary hears it ..."""
LATECOMERS_MAX = 3
"""... and so many that pass it are not chance: under a light load two windows take minutes (0159)."""
SHARE_OF_BEST = 0.7
VIEWS_REMEMBERED = 5
SLOW_EVERY = 30 * SECOND
"""Nanoseconds between two depositions for slowness."""
BUSY_INTERVAL = 1 * SECOND
"""Nanoseconds over which throughput is taken."""
POOR_INTERVALS = 2
"""So many of them in a row: one may be the disk's."""
LATENCIES = 8
"""Intervals looked at; the median counts."""
LATENCY_INTERVAL = 100_000_000
"""Nanoseconds for which the median of its batches stands: all that waited for one stall of a disk or of a
shared processor comes at once, and is one observation."""
NEWEST_MAX = 256
LATENCY_SHARE = 4
"""From first sight to PRE-PREPARE a quarter of T is patience enough ..."""
COMMIT_TIMES = 4
"""... or four times as long as the quorum takes from there to execution, if that is longer."""


class Judgement:
    """Owns what was seen of the primary's work in this view, and the best of earlier ones."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self._from = 0
        """Nothing before this monotonic time is held against the primary (view entered, pause)."""
        self._latencies: deque[int] = deque(maxlen=LATENCIES - 1)
        self._newest: list[int] = []
        """Latencies of the interval under way."""
        self._newest_since = 0
        self._commits: deque[int] = deque(maxlen=LATENCIES)
        self._busy_since: int | None = None
        self._work = 0
        self._poor = 0
        self._best: int | None = None
        """Best throughput of this view, units a second."""
        self._earlier: deque[int] = deque(maxlen=VIEWS_REMEMBERED)
        self._deposed_at = -SLOW_EVERY
        self._passed: Pending | None = None
        """The oldest waiting request, when something was executed last ..."""
        self._latecomers = 0
        """... and the requests that passed it though first seen long after it."""

    # --- events -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A view is entered, or this replica starts."""
        if self._best is not None:
            self._earlier.append(self._best)
        self._best = None
        self._from = self.core.now.monotonic
        self._latencies.clear()
        self._newest.clear()
        self._busy_since = None
        self._poor = 0
        self._latecomers = 0
        self.core.pool.overtakes = 0

    def on_left(self, *, slow: bool) -> None:
        """This replica leaves the view; `slow`: it or those whom it joined found the primary slow."""
        if slow:
            self._deposed_at = self.core.now.monotonic

    def shift(self, gap: int) -> None:
        """This process was paused: nobody made these requests wait (R31)."""
        self._from = self.core.now.monotonic + gap
        self._busy_since = None
        self._latecomers = 0

    def on_executed(self, sequence: int, work: int, waited: list[Pending | None]) -> None:
        """A batch of the log was executed; `waited`: its requests, None for those that did not wait here
        because their clients told the primary alone."""
        core = self.core
        now = core.now.monotonic
        slot = core.log.slots.get(sequence)
        if slot is not None and slot.proposals and not slot.carried:
            self._commits.append(now - slot.opened)
            known = [item for item in waited if item is not None]
            calm = [slot.opened - item.arrived for item in known if item.calm and item.arrived >= self._from]
            if calm:
                self._note_latency(max(0, *calm), now)
            oldest = core.pool.oldest()
            if oldest is not None and oldest.arrived < slot.opened:
                core.pool.overtakes += len(waited) - len(known)
            seen = [item.arrived if item is not None else slot.opened for item in waited]
            self._note_passed(oldest, seen)
        self._measure(work, now)

    def _note_passed(self, oldest: Pending | None, seen: list[int]) -> None:
        """These were executed, first seen at these times, while `oldest` still waits."""
        if oldest is not self._passed:
            self._passed, self._latecomers = oldest, 0
        if oldest is not None:
            late = self._since(oldest) + LATECOMERS_AFTER * self.core.suspicion.timeout
            self._latecomers += sum(at >= late for at in seen)

    def _since(self, oldest: Pending) -> int:
        """Since when this primary lets it wait."""
        return max(oldest.arrived, self._from)

    def _note_latency(self, latency: int, now: int) -> None:
        if self._newest and now - self._newest_since >= LATENCY_INTERVAL:
            self._latencies.append(_median(self._newest))
            self._newest.clear()
        if not self._newest:
            self._newest_since = now
        if len(self._newest) < NEWEST_MAX:
            self._newest.append(latency)

    def _measure(self, work: int, now: int) -> None:
        core = self.core
        full = core.pool.operations >= core.config.batch_operations_max and not core.catch_up.is_holding()
        if not full:
            self._busy_since = None
            return
        if self._busy_since is not None:
            self._work += work
            passed = now - self._busy_since
            if passed < BUSY_INTERVAL:
                return
            self._take(self._work * SECOND // passed)
        self._busy_since, self._work = now, 0

    def _take(self, rate: int) -> None:
        best = max(self._earlier, default=0)
        self._poor = self._poor + 1 if rate < SHARE_OF_BEST * best else 0
        self._best = max(rate, self._best or 0)

    # --- verdict ------------------------------------------------------------------------------------

    def ground(self) -> str | None:
        """Why this view's primary should go, or None."""
        core = self.core
        if core.is_primary:
            return None
        if self._is_unfair():
            return UNFAIR
        if core.now.monotonic < self._deposed_at + SLOW_EVERY:
            return None
        return SLOW if self._poor >= POOR_INTERVALS or self._is_late() else None

    def _is_unfair(self) -> bool:
        core = self.core
        oldest = core.pool.oldest()
        if oldest is None:
            return False
        many = core.pool.overtakes >= WINDOWS_OVERTAKEN * core.log.window
        if not many and (oldest is not self._passed or self._latecomers < LATECOMERS_MAX):
            return False
        return core.now.monotonic - self._since(oldest) > WAIT_MAX * core.suspicion.timeout

    def _is_late(self) -> bool:
        if not self._newest or len(self._latencies) < LATENCIES - 1:
            return False
        patience = max(
            self.core.suspicion.timeout // LATENCY_SHARE,
            COMMIT_TIMES * _median(self._commits),
        )
        return _median([*self._latencies, _median(self._newest)]) > patience


def _median(values: Collection[int]) -> int:
    return sorted(values)[len(values) // 2]
