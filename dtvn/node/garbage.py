"""When garbage is collected in a process that is a node and nothing else."""

from __future__ import annotations

import gc
import time

COLLECT_NS = 2_000_000_000
COLLECT_LATEST_NS = 20_000_000_000
"""Young garbage is collected when idle after COLLECT_NS, else after COLLECT_LATEST_NS: a collection in
the middle of a turn costs milliseconds that a waiting gate would notice."""

COLLECT_ALL_NS = 300_000_000_000
COLLECT_SLOW_NS = 20_000_000
"""All garbage is collected every five minutes, when idle. Objects that survive a slow collection are
frozen: they are state, and examining them again would only take longer each time."""


class BetweenTurns:
    """Collects garbage between the turns of a main loop instead of in them. It takes the collector of the
    whole process: only a program gives it to the loop that is all its work."""

    def begin(self, *, carried: bool) -> None:
        """Before the start. `carried`: the process goes on with the state of the epoch before."""
        if not carried:
            gc.collect()
        gc.disable()
        self._collected = self._collected_all = time.monotonic_ns()

    def started(self, *, carried: bool) -> None:
        """The state is loaded."""
        if not carried:  # else the core before is garbage, which the next whole collection frees
            gc.freeze()

    def tidy(self, now: int, *, idle: bool) -> None:
        """Collect garbage, preferably when idle."""
        if now - self._collected > (COLLECT_NS if idle else COLLECT_LATEST_NS):
            self._collected = now
            gc.collect(1)
        if idle and now - self._collected_all > COLLECT_ALL_NS:
            self._collected_all = now
            gc.collect()
            if time.monotonic_ns() - now > COLLECT_SLOW_NS:
                gc.freeze()

    def end(self) -> None:
        """Garbage is collected by Python again; what was frozen may be garbage too."""
        gc.unfreeze()
        gc.enable()
