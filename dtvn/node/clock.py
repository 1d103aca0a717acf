"""The real clock (ports.Clock)."""

from __future__ import annotations

import time

from dtvn.protocol.consensus.effects import Now

BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Only Linux has a clock that goes on while the machine sleeps; elsewhere its sleep looks like a step."""


class SystemClock:
    """Monotonic time for timers; wall time to propose and to check a fresh proposal (R2)."""

    def now(self) -> Now:
        """Monotonic and Unix time, and the time since the machine's start, all in nanoseconds."""
        boot = time.clock_gettime_ns(BOOT)
        return Now(monotonic=time.monotonic_ns(), wall=time.time_ns(), boot=boot)
