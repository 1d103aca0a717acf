"""Time: which clock dates what, and when a proposal's time is judged. R3, R14, R31, R36; P16."""

from __future__ import annotations

from typing import Any

from simulator.mutants.registry import replaces
from simulator.seams import (
    Clocks,
    LogClock,
    Ordering,
    OwnClock,
    Queue,
    Reason,
    Suspicion,
    answers,
    membership,
)


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


@replaces(Ordering, "refuse_content", "late-is-wrong", "R3 P16", world="clocks-behind-in-halves")
def two_sided(right: Any, self: Ordering, batch: Any, view: Any, sequence: Any) -> Any:
    """A proposal that is late by more than the drift bound gets no PREPARE, however slow the cluster is."""
    if self._ahead(batch) < -self.state.config.drift_bound:
        return Reason.BAD_TIMESTAMP
    return right(self, batch, view, sequence)


@replaces(Clocks, "holds_back", "time-may-be-held-back", "R3 R32 P16", world="time-holder")
def never_blamed(*_arguments: Any) -> bool:
    """A primary may date its batches as far behind as it likes."""
    return False


@replaces(Clocks, "holds_back", "weak-quorum-moves-a-view", "R3 R32", world="clocks-ahead-in-halves")
def f_plus_1(_right: Any, self: Clocks, view: Any) -> bool:
    """A view is left once f + 1 members say that its primary holds time back."""
    others = sum(said == view for said, _at in self._held_by.values())
    return self._says_behind(view) and others + 1 >= self._config.f + 1


@replaces(Clocks, "_says_behind", "old-log-is-held-back", "R3 R32", world="idle-night")
def by_log_time(_right: Any, self: Clocks, _view: Any) -> bool:
    """A member says that time is held back while log time is behind its clock: an idle log always is."""
    context: Any = self._context
    behind = context.now.wall // 1_000 - context.executor.timestamp
    return bool(context.executor.timestamp and behind > 2 * self._config.drift_bound)


@replaces(Clocks, "time", "proposes-by-own-clock", "R3 P16", world="clocks-ahead-in-halves")
def own_clock_only(_right: Any, self: Clocks) -> int:
    """A primary proposes the time of its own clock, whatever those of the others say."""
    return int(self._context.now.wall // 1_000)


@replaces(OwnClock, "weigh", "follows-every-step", "R3", world="clocks-stepped-apart")
def follows(_right: Any, self: OwnClock, now: Any, *_arguments: Any) -> None:
    """A member follows each step of its machine's clock."""
    self._follow(now.wall - now.held - (now.boot or now.monotonic))


@replaces(membership, "alive_at", "alive-by-clock-only", "R36", world="clocks-among-changes")
def by_clock(_right: Any, wall: int, _effective: int) -> int:
    """A liveness proof is dated by its member's clock, though batch time is ahead of all clocks."""
    return wall
