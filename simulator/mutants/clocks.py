"""Time: what is dated by which clock. R3, R14; P16."""

from __future__ import annotations

from typing import Any

from simulator.mutants.registry import replaces
from simulator.seams import LogClock, Ordering, Queue, Reason, Suspicion


@replaces(LogClock, "read", "dates-by-own-clock", "R14", world="clocks-ahead-and-back")
def own_clock(_right: Any, _self: LogClock, now: Any) -> int:
    """A gateway dates its operations by its host's clock."""
    return int(now.wall // 1_000)


@replaces(Queue, "_asks_again", "misdated-is-final", "R14", world="clocks-ahead-and-back")
def asks_once(*_arguments: Any) -> bool:
    """An operation that the gateway misdated is not sent again."""
    return False


@replaces(Suspicion, "_withheld_since", "withheld-view-lasts", "R3 R31", world="clock-of-one-long-turns")
def waits_on(*_arguments: Any) -> None:
    """A replica that withholds its vote for a proposal's time waits like all others for a view's progress."""


@replaces(Ordering, "refuse_content", "late-is-wrong", "R3 P16", world="clock-of-one-long-turns")
def two_sided(right: Any, self: Ordering, batch: Any, view: Any, sequence: Any, arrival: Any = 0) -> Any:
    """A proposal that is late by more than the drift bound gets no PREPARE, however slow the cluster is."""
    if self._ahead(batch, arrival) < -self.state.config.drift_bound:
        return Reason.BAD_TIMESTAMP
    return right(self, batch, view, sequence, arrival)
