"""The difference between log time and a clock, and between a proposal's time and a clock: numbers, and
sentences for people. Pure.

Windows of validity, leases and locks are judged by log time, the effective time of the newest executed batch
(R3). Log time never goes back, so after a clock was ahead it stays ahead of the clocks until these catch up.
"""

from __future__ import annotations

from collections.abc import Sequence

MINUTE, HOUR = 60.0, 3_600.0
SECONDS_SHOWN_BELOW = 2 * MINUTE
MINUTES_SHOWN_BELOW = 2 * HOUR


def log_time_ahead(log_time: int, wall: int, drift_bound: int) -> float:
    """Seconds by which log time is ahead of a clock; 0.0 while it is not by more than the drift bound. All
    arguments in microseconds, the first two Unix time; `log_time` is 0 before the first batch."""
    ahead = log_time - wall
    return round(ahead / 1e6, 3) if ahead > drift_bound else 0.0


def ahead_sentence(seconds: float, clock: str = "this clock") -> str:
    """The state in which log time is ahead, without a full stop; "" for 0."""
    if not seconds:
        return ""
    return f"log time is {span(seconds)} ahead of {clock}; windows of validity are judged by it"


def behind_sentence(seconds: float, clocks: Sequence[str] = (), clock: str = "this clock") -> str:
    """The state in which log time stands still behind a clock, without a full stop; "" for 0. `clocks`: the
    members whose clocks are behind it too."""
    if not seconds:
        return ""
    held = (
        f", held back by the clock{'s' if len(clocks) > 1 else ''} of {', '.join(clocks)}" if clocks else ""
    )
    return f"log time is {span(seconds)} behind {clock}{held}; windows, leases and locks wait for it"


def doubtful_sentence(seconds: float, name: str = "") -> str:
    """The state of a member (`name`; "": the member itself says so) whose machine's clock was set so many
    seconds ahead, negative: back, while no others agree; without a full stop; "" for 0."""
    if not seconds:
        return ""
    way = "ahead" if seconds > 0 else "back"
    whose, goes = (f"the clock of {name}", "it goes") if name else ("this clock", "this node goes")
    set_by = f"{whose} was set {span(abs(seconds))} {way}"
    return f"{set_by}, and others do not agree: {goes} by the time that they share"


def withheld_sentence(seconds: float, name: str = "") -> str:
    """Why a member withholds its vote from a proposal whose time is so many seconds ahead of its clock, or
    behind it (negative), without a full stop; "" for 0. `name`: who withholds; "": the member itself says so.
    """
    if not seconds:
        return ""
    begun, clock = (f"{name} withholds its vote", "its clock") if name else ("withheld", "my clock")
    way = "ahead of" if seconds > 0 else "behind"
    return f"{begun}: the proposal's time is {abs(seconds):,.0f} s {way} {clock}"


def shared_time(clocks: Sequence[int], needed: int, bound: int, *, near: int) -> int | None:
    """A time that `needed` of these clocks share, each within `bound` of it: their lowest. Where there are
    several such times, the nearest to `near`; None if there is none."""
    known = sorted(clocks)
    groups = zip(known, known[needed - 1 :], strict=False) if needed else ()
    return min(
        (lowest for lowest, highest in groups if highest - lowest <= bound),
        key=lambda time: abs(time - near),
        default=None,
    )


def span(seconds: float) -> str:
    """A time span for people: `35 s`, `58 min`, `3.5 h`."""
    if seconds < SECONDS_SHOWN_BELOW:
        return f"{seconds:.0f} s"
    if seconds < MINUTES_SHOWN_BELOW:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.1f} h"
