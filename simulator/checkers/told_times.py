"""When the log let a call happen, as far as its answer tells it: only the days and windows of lists, and the
minutes in which somebody may annul, depend on it.

Times of the log that were told are put together as long as no list of the event begins another day, opens or
closes, and log time does not jump. A call whose answer told no time, or that was repeated under its nonce,
may have happened at more than one of these.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any

import msgspec

from simulator.checkers import list_model
from simulator.gateway import Gateway

JUMP = 60_000_000
"""Microseconds of log time between two answers that a call does not last: clocks were set ahead."""


def known(gateways: Sequence[Gateway]) -> list[int]:
    """All times of the log that came with an answer, ascending."""
    return sorted(
        {
            result.timestamp
            for gateway in gateways
            for request in gateway.requests
            for result in request.results or ()
            if result.timestamp
        }
    )


def dated(calls: Sequence[Any], times: Sequence[int]) -> list[Any]:
    """The calls (ticket_calls.Call) about an event, each with the times at which it may have happened.
    `times`: see known."""
    lists = [each for call in calls if call.kind == "set_event" for each in call.command.lists or ()]
    starts: list[int] = []
    before: tuple[int, Any] | None = None
    for time in times:
        look = [(list_model.day(each, time), list_model.is_open(each, time)) for each in lists]
        if before is None or look != before[1] or time - before[0] > JUMP:
            starts.append(time)
        before = time, look
    return [msgspec.structs.replace(call, times=_possible(call, starts)) for call in calls]


def _possible(call: Any, starts: list[int]) -> tuple[int, ...]:
    """The first time of each span that a call may have happened in."""
    if not call.told:
        return tuple(starts) or (*call.times,)
    last = bisect.bisect_right(starts, call.told)
    return tuple(starts[:last]) if call.repeated else (starts[last - 1],)
