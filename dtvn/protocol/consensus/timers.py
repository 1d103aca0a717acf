"""The timers of a replica: when it must be called next, what is then due, and what a pause moves (R31)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from dtvn.protocol.consensus.config import MILLISECOND
from dtvn.protocol.consensus.state import State

SHORT_PAUSE_EVERY = 5_000_000_000
"""Minimum nanoseconds between two gaps under 2 T that count as pauses."""


class Timed(Protocol):
    """An object that keeps times, in nanoseconds, and moves them by a pause of this process."""

    def shift(self, gap: int) -> None:
        """Move all times by `gap`."""


class Timer(Timed, Protocol):
    """An object that must act at a time of its own."""

    def tick(self) -> None:
        """Do what is due."""

    def deadline(self) -> int | None:
        """Monotonic nanoseconds when `tick` is needed next, or None."""


class Timers:
    """The table of all timers. `ready_at`: when the next proposal may go out, which needs no tick of its own.
    `timers` are ticked in their order; `moved` are only shifted after a pause, never ticked."""

    def __init__(
        self,
        state: State,
        ready_at: Callable[[], int | None],
        timers: Sequence[Timer],
        moved: Sequence[Timed],
    ) -> None:
        self.state = state
        self._timers = timers
        self._moved = (*timers, *moved)
        self._deadlines = (ready_at, *(timer.deadline for timer in timers))
        self._last_step = 0
        self._paused_at = -SHORT_PAUSE_EVERY
        self._deadline: int | None = None
        self._deadline_known = False

    def start(self, now: int) -> None:
        """The replica starts at the monotonic time `now`."""
        self._last_step = now

    def deadline(self) -> int | None:
        """Monotonic nanoseconds when the replica must be ticked next; None if nothing is scheduled."""
        if not self._deadline_known:
            due = self._earliest()
            # A deadline set in the past is not a late tick, which would raise T (R31).
            self._deadline = due if due is None else max(due, self.state.now.monotonic)
            self._deadline_known = True
        return self._deadline

    def lateness(self, now: int) -> int | None:
        """Nanoseconds by which a tick at `now` is late; None if none was expected, or after a long pause."""
        due = self._deadline
        if due is None or not self._deadline_known or now > due + self.state.config.timeout_base // 2:
            return None
        return max(0, now - due)

    def begin_step(self, now: int) -> None:
        """A long gap since the last step means that this process was paused: then all times move by the gap
        before they are compared with the time."""
        state = self.state
        gap = now - self._last_step
        if gap > state.config.timeout_base // 2 and self._was_paused(gap, now):
            for timer in self._moved:
                timer.shift(gap)
            if state.n > 1:
                state.outbox.note("paused", milliseconds=gap // MILLISECOND)
        self._last_step = now
        self._deadline_known = False

    def tick(self) -> None:
        """Do everything that is due."""
        for timer in self._timers:
            timer.tick()

    def _earliest(self) -> int | None:
        state = self.state
        earliest = None if state.n == 1 else self._last_step + state.config.timeout_base // 4
        for ask in self._deadlines:
            time = ask()
            if time is not None and (earliest is None or time < earliest):
                earliest = time
        return earliest

    def _was_paused(self, gap: int, now: int) -> bool:
        """Whether a gap between two steps is a pause. A long one always is. Repeated short ones come from a
        slow machine (or a liar that keeps it busy) and must not delay every suspicion for ever."""
        short = gap <= 2 * self.state.config.timeout_base
        if short and now - self._paused_at < SHORT_PAUSE_EVERY:
            return False
        self._paused_at = now
        return True
