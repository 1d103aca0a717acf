"""Virtual time: one true clock of the world, and for each node a clock that may be wrong about it.

All times are integer nanoseconds.
"""

from __future__ import annotations

from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.durations import MILLISECOND as MILLISECOND
from dtvn.protocol.durations import SECOND as SECOND

MICROSECOND = 1_000

WALL_START = 1_700_000_000 * SECOND
"""Unix time, in nanoseconds, of a correct wall clock when the world begins."""


class TrueClock:
    """The time of the world."""

    def __init__(self) -> None:
        self.time = 0

    def read(self) -> int:
        """Current world time (`time`)."""
        return self.time


class NodeClock:
    """ports.Clock of one node: a skewed wall clock, and a monotonic one that runs at `rate`.

    The monotonic clock starts at an arbitrary value at each boot: none of its values may be stored (R2).
    """

    def __init__(self, true: TrueClock, *, skew: int = 0, rate_ppm: int = 0) -> None:
        self._true = true
        self.skew = skew
        """Nanoseconds that the wall clock is ahead of the true time, or was when it was set."""
        self._wall_ppm = self._set_at = 0
        self._rate_ppm = rate_ppm
        """Millionths by which the monotonic clock runs fast."""
        self._booted = 0
        self._start = 0

    def boot(self, start: int) -> None:
        """Start a new monotonic clock, which shows `start` now."""
        self._booted = self._true.time
        self._start = start

    def set(self, skew: int, wall_ppm: int = 0) -> None:
        """Set the wall clock, which runs fast by `wall_ppm` millionths from now on."""
        self.skew, self._wall_ppm, self._set_at = skew, wall_ppm, self._true.time

    def now(self) -> Now:
        """See ports.Clock."""
        time = self._true.time
        passed = time - self._booted
        monotonic = self._start + passed + passed * self._rate_ppm // 1_000_000
        gained = (time - self._set_at) * self._wall_ppm // 1_000_000
        return Now(monotonic, WALL_START + time + self.skew + gained)

    def true_time(self, monotonic: int) -> int:
        """The earliest world time at which the monotonic clock shows at least `monotonic`."""
        passed = monotonic - self._start
        exact = -(-passed * 1_000_000 // (1_000_000 + self._rate_ppm))
        return self._booted + exact
