"""Does the primary do its work well enough? (R30 fairness, R32; P14 and P21)

`suspicion` checks whether a primary works at all. This module finds causes against one that is alive:

* *unfair*: a request waits longer than 4 T while later requests were executed: two windows of requests that
  arrived after it, or a few that arrived when it had already waited 2 T.
* *slow* under load: while a full batch waits here all the time, throughput is below 70 % of the best of the
  last five views under the same condition.
* *slow* otherwise: calm requests (less than a batch waited when they arrived, or their turn comes soon) wait
  too long from arrival to PRE-PREPARE. Requests in a long queue are not counted: no primary proposes those
  quickly. The time for a principal's own earlier requests, in its turns beside others', is not either (0196).

A healthy primary under a burst has a full batch waiting; under falling load it has none and proposes at
once. A wrong verdict costs a view change, so `slow` deposes at most one primary in 30 s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from dtvn.protocol.consensus.causes import SLOW, UNFAIR
from dtvn.protocol.consensus.requests.pending import Pending
from dtvn.protocol.consensus.requests.pool import Pool
from dtvn.protocol.consensus.state import State

SECOND = 1_000_000_000
WAIT_MAX = 4
"""Multiple of T that a request may wait while later ones overtake it."""
WINDOWS_OVERTAKEN = 2
"""Windows of later requests that must overtake a request before the primary counts as unfair."""
LATECOMERS_AFTER = 2
"""A latecomer is a request that arrives when the oldest one has waited this multiple of T. It overtakes only
if the primary does not receive, or ignores, the oldest one."""
LATECOMERS_MAX = 3
"""This many latecomers that overtake the oldest request are not chance. They count besides
WINDOWS_OVERTAKEN, because two windows take minutes under a light load (0159)."""
SHARE_OF_BEST = 0.7
"""Throughput below this share of the best of earlier views is poor."""
VIEWS_REMEMBERED = 5
"""Earlier views whose best throughput is kept."""
SLOW_EVERY = 30 * SECOND
"""Minimum nanoseconds between two depositions for slowness."""
BUSY_INTERVAL = 1 * SECOND
"""Nanoseconds over which throughput is measured."""
POOR_INTERVALS = 2
"""Intervals of poor throughput in a row that make a primary slow: a single one may be due to the disk."""
LATENCIES = 8
"""Newest intervals whose latencies are compared; their median is used."""
LATENCY_INTERVAL = 100_000_000
"""Nanoseconds of one latency observation, the median of the batches in them: batches that waited for the
same stall of a disk or of a shared processor arrive together and are one observation."""
NEWEST_MAX = 256
"""Maximum latencies kept of the current interval."""
LATENCY_SHARE = 4
"""A primary is late if a calm request waits longer than T / LATENCY_SHARE from arrival to PRE-PREPARE, and
longer than COMMIT_TIMES allows."""
TURNS_KEPT = 200
"""Newest batches of which is kept how long they took."""
TURN = 2
"""A batch may take this multiple of the time from its PRE-PREPARE to execution, counted from the execution of
the batch before: the primary proposes it when it has executed that one itself."""
COMMIT_TIMES = 4
"""A primary may always take this multiple of the time from PRE-PREPARE to execution, if that is longer than
T / LATENCY_SHARE."""


class PrimaryMonitor:
    """Owns the measurements of the primary's work in this view, and the best throughput of earlier views."""

    def __init__(self, state: State, pool: Pool) -> None:
        self.state = state
        self.pool = pool
        self._from = 0
        """Monotonic time (view entered, pause) before which waiting is not held against the primary."""
        self._latencies: deque[int] = deque(maxlen=LATENCIES - 1)
        """Median latencies of the intervals before the current one, nanoseconds."""
        self._newest: list[int] = []
        """Latencies of the current interval."""
        self._newest_since = 0
        self._commits: deque[int] = deque(maxlen=LATENCIES)
        """Nanoseconds from PRE-PREPARE to execution of the newest batches."""
        self._turns: deque[int] = deque([0], maxlen=TURNS_KEPT)
        """Nanoseconds that the batches of this view took, summed up after each."""
        self._executed_at = 0
        self._busy_since: int | None = None
        self._work = 0
        self._poor = 0
        self._best: int | None = None
        """Best throughput of this view, units of work a second."""
        self._earlier: deque[int] = deque(maxlen=VIEWS_REMEMBERED)
        self._deposed_at = -SLOW_EVERY
        self._passed: Pending | None = None
        """The oldest waiting request at the last execution."""
        self._latecomers = 0
        """Latecomers (LATECOMERS_AFTER) that were executed before it."""

    # --- events -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Starts measuring anew: a view is entered, or this replica starts."""
        if self._best is not None:
            self._earlier.append(self._best)
        self._best = None
        self._from = self.state.now.monotonic
        self._latencies.clear()
        self._newest.clear()
        self._turns = deque([0], maxlen=TURNS_KEPT)
        self._busy_since = None
        self._poor = 0
        self._latecomers = 0
        self.pool.overtakes = 0

    def on_left(self, *, slow: bool) -> None:
        """This replica leaves the view. `slow`: it, or a member that it joined, found the primary slow."""
        if slow:
            self._deposed_at = self.state.now.monotonic

    def shift(self, gap: int) -> None:
        """Forgives the waiting before a pause of this process: the primary did not cause it (R31)."""
        self._from = self.state.now.monotonic + gap
        self._busy_since = None
        self._latecomers = 0

    def on_executed(self, sequence: int, work: int, waited: list[Pending | None]) -> None:
        """Handles the execution of a batch. `waited`: its requests; None for one that did not wait here
        because its client sent it to the primary only."""
        state = self.state
        now = state.now.monotonic
        slot = state.log.slots.get(sequence)
        if slot is not None and slot.proposals and not slot.reproposed:
            known = [item for item in waited if item is not None]
            calm = [
                slot.opened - item.arrived - self._time_of_turns(item.ahead)
                for item in known
                if item.calm and item.arrived >= self._from
            ]
            if calm:
                self._note_latency(max(0, *calm), now)
            oldest = self.pool.oldest()
            if oldest is not None and oldest.arrived < slot.opened:
                self.pool.overtakes += len(waited) - len(known)
            seen = [item.arrived if item is not None else slot.opened for item in waited]
            self._note_passed(oldest, seen)
            self._commits.append(now - slot.opened)
            took = min(now - self._executed_at, TURN * (now - slot.opened))
            self._turns.append(self._turns[-1] + took)
            self._executed_at = now
        self._measure(work, now)

    def _time_of_turns(self, batches: int) -> int:
        """Nanoseconds that the newest batches, so many, took; no more of those in which this primary let work
        wait than TURN allows."""
        turns = self._turns
        return turns[-1] - turns[-1 - min(batches, len(turns) - 1)]

    def _note_passed(self, oldest: Pending | None, seen: list[int]) -> None:
        """Counts the latecomers among executed requests, which arrived at the times `seen`."""
        if oldest is not self._passed:
            self._passed, self._latecomers = oldest, 0
        if oldest is not None:
            late = self._since(oldest) + LATECOMERS_AFTER * self.state.timeouts.timeout
            self._latecomers += sum(at >= late for at in seen)

    def _since(self, oldest: Pending) -> int:
        """Monotonic time since when this primary lets it wait, after its principal's turns (0196)."""
        return max(oldest.arrived, self._from) + self._time_of_turns(oldest.ahead)

    def _note_latency(self, latency: int, now: int) -> None:
        if self._newest and now - self._newest_since >= LATENCY_INTERVAL:
            self._latencies.append(_median(self._newest))
            self._newest.clear()
        if not self._newest:
            self._newest_since = now
        if len(self._newest) < NEWEST_MAX:
            self._newest.append(latency)

    def _measure(self, work: int, now: int) -> None:
        state = self.state
        full = self.pool.operations >= state.config.batch_operations_max and not state.is_catching_up
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

    def cause(self) -> str | None:
        """SLOW or UNFAIR if the primary of this view should be deposed, else None."""
        state = self.state
        if state.is_primary:
            return None
        if self._is_unfair():
            return UNFAIR
        if state.now.monotonic < self._deposed_at + SLOW_EVERY:
            return None
        return SLOW if self._poor >= POOR_INTERVALS or self._is_late() else None

    def _is_unfair(self) -> bool:
        state = self.state
        oldest = self.pool.oldest()
        if oldest is None:
            return False
        many = self.pool.overtakes >= WINDOWS_OVERTAKEN * state.log.window
        if not many and (oldest is not self._passed or self._latecomers < LATECOMERS_MAX):
            return False
        return state.now.monotonic - self._since(oldest) > WAIT_MAX * state.timeouts.timeout

    def _is_late(self) -> bool:
        if not self._newest or len(self._latencies) < LATENCIES - 1:
            return False
        limit = max(
            self.state.timeouts.timeout // LATENCY_SHARE,
            COMMIT_TIMES * _median(self._commits),
        )
        return _median([*self._latencies, _median(self._newest)]) > limit


def _median(values: Collection[int]) -> int:
    return sorted(values)[len(values) // 2]
