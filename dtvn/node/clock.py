"""The real clock (ports.Clock)."""

from __future__ import annotations

import time

from dtvn.protocol.consensus.effects import Now


class SystemClock:
    """Monotonic time for timers; wall time to propose and to check a fresh proposal (R2)."""

    def now(self) -> Now:
        """Monotonic and Unix time, both in nanoseconds."""
        return Now(monotonic=time.monotonic_ns(), wall=time.time_ns())
