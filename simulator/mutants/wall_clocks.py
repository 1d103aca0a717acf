"""Time: which clock dates what, and when a proposal's time is judged. R3, R14, R31, R36; P16."""

from __future__ import annotations

from typing import Any

from simulator.mutants.registry import replaces
from simulator.seams import LogClock, Ordering, Queue, Reason, Suspicion, answers, membership


@replaces(LogClock, "read", "dates-by-own-clock", "R14", world="clocks-ahead-and-back")
def own_clock(_right: Any, _self: LogClock, now: Any) -> int:
    """A gateway dates its operations by its host's clock."""
    return int(now.wall // 1_000)


@replaces(Queue, "_asks_again", "misdated-is-final", "R14", world="clocks-ahead-and-back")
def asks_once(*_arguments: Any) -> bool:
    """An operation that the gateway misdated is not sent again."""
    return False


@replaces(answers.Tally, "expired_at", "one-refusal-tells-the-time", "R14 R16", world="false-refuser")
def one_tells(_right: Any, self: answers.Tally) -> int:
    """A gateway believes the latest log time that any member names in a refusal."""
    return max((at for code, at in self._hints.values() if code == Reason.EXPIRED), default=0)


@replaces(Suspicion, "_withheld_since", "withheld-view-lasts", "R3 R31", world="clock-and-long-turns")
def waits_on(*_arguments: Any) -> None:
    """A replica that withholds its vote for a proposal's time waits like all others for a view's progress."""


@replaces(Ordering, "refuse_content", "late-is-wrong", "R3 P16", world="clock-and-long-turns")
def two_sided(right: Any, self: Ordering, batch: Any, view: Any, sequence: Any, arrival: Any = 0) -> Any:
    """A proposal that is late by more than the drift bound gets no PREPARE, however slow the cluster is."""
    if self._ahead(batch, arrival) < -self.state.config.drift_bound:
        return Reason.BAD_TIMESTAMP
    return right(self, batch, view, sequence, arrival)


@replaces(Ordering, "_ahead", "no-time-is-too-late", "R3 P16", world="clock-of-one")
def never_late(right: Any, self: Ordering, batch: Any, arrival: Any) -> int:
    """A proposal may be as late as its primary likes."""
    return max(int(right(self, batch, arrival)), 0)


@replaces(Ordering, "_ahead", "time-judged-when-processed", "R3 P16", world="late-new-view", seed=1)
def judged_late(right: Any, self: Ordering, batch: Any, _arrival: Any) -> Any:
    """A proposal's time is compared with the clock when the proposal is processed: the time that it waited
    for its view counts against its primary."""
    return right(self, batch, 0)


@replaces(membership, "alive_at", "alive-by-clock-only", "R36", world="clocks-among-changes")
def by_clock(_right: Any, wall: int, _effective: int) -> int:
    """A liveness proof is dated by its member's clock, though batch time is ahead of all clocks."""
    return wall
