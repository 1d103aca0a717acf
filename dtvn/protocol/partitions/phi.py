"""The phi accrual failure detector of Hayashibara, Défago, Yared and Katayama (SRDS 2004), for one peer.

    phi(now) = -log10(P_later(now - T_last)),   P_later(t) = 1 - F(t)

T_last is the arrival of the newest heartbeat, and F the normal distribution with the mean and the deviation
of the inter-arrival times in a window. At threshold 3, one suspicion in 1,000 is wrong, if arrivals are
distributed so. Where heartbeats get lost they are not: two bounds of practice are added to the paper's, a
least deviation and a pause that is acceptable beyond the mean.
"""

from __future__ import annotations

import math
from collections import deque

FAR = 30.0
"""Standard deviations beyond which the normal distribution's tail is computed by its asymptotic series:
`erfc` ends at 38, and phi must not."""


def phi_of(deviations: float) -> float:
    """-log10 of the probability that a normal variable is more than so many deviations above its mean. It
    never falls as `deviations` grows, and has no bound."""
    if deviations < FAR:
        return max(0.0, -math.log10(0.5 * math.erfc(deviations / math.sqrt(2))))
    square = deviations * deviations
    tail = square / 2 + math.log(deviations * math.sqrt(2 * math.pi)) - math.log1p(-1 / square)
    return tail / math.log(10)


def deviations_of(phi: float) -> float:
    """The least number of deviations above the mean at which `phi_of` is at least `phi` (greater than 0)."""
    low, high = -FAR, FAR
    while phi_of(high) < phi:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (low, middle) if phi_of(middle) >= phi else (middle, high)
    return high


class PhiAccrual:
    """Suspicion of one peer. Times are monotonic nanoseconds."""

    def __init__(self, now: int, *, window: int, deviation_min: int, pause: int) -> None:
        """`now`: when the peer becomes known. `window`: inter-arrival times that are remembered.
        `deviation_min`: least standard deviation, greater than 0. `pause`: added to the mean."""
        self.heard_at = now
        """Arrival of the newest heartbeat; before the first, when the peer became known."""
        self._window = window
        self._deviation_min = deviation_min
        self._pause = pause
        self._intervals: deque[int] = deque()
        self._sum = self._squares = 0
        """Of the intervals: whole numbers, so nothing drifts."""
        self._counts = False
        """Whether the time since `heard_at` is an interval between two heartbeats."""
        self._fitted: tuple[float, float] | None = None
        """Mean and standard deviation of the intervals as they are now; None: to be computed."""

    @property
    def samples(self) -> int:
        """Number of inter-arrival times in the window."""
        return len(self._intervals)

    def heard(self, now: int) -> None:
        """A heartbeat has arrived."""
        interval = now - self.heard_at
        self.heard_at = now
        if not self._counts:
            self._counts = True
            return
        self._intervals.append(interval)
        self._sum += interval
        self._squares += interval * interval
        if len(self._intervals) > self._window:
            oldest = self._intervals.popleft()
            self._sum -= oldest
            self._squares -= oldest * oldest
        self._fitted = None

    def skip(self) -> None:
        """The silence that is now is no inter-arrival time: the peer, the link or this process was away."""
        self._counts = False

    def forgive(self, nanoseconds: int) -> None:
        """Count so much of the present silence as none: this process did not listen."""
        self.heard_at += nanoseconds
        self.skip()

    def silence(self, now: int) -> int:
        """Nanoseconds since the newest heartbeat."""
        return max(0, now - self.heard_at)

    def phi(self, now: int) -> float:
        """The suspicion now: 0 to infinity; 0 without an inter-arrival time."""
        if not self._intervals:
            return 0.0
        mean, deviation = self._fit()
        return phi_of((self.silence(now) - mean - self._pause) / deviation)

    def limit(self, deviations: float) -> int:
        """Nanoseconds of silence at which phi reaches the threshold of `deviations` (`deviations_of`). Raises
        ZeroDivisionError without an inter-arrival time."""
        mean, deviation = self._fit()
        return math.ceil(mean + self._pause + deviations * deviation)

    def _fit(self) -> tuple[float, float]:
        if self._fitted is None:
            count = len(self._intervals)
            variance = (count * self._squares - self._sum * self._sum) / (count * count)
            self._fitted = self._sum / count, max(math.sqrt(variance), self._deviation_min)
        return self._fitted
