"""Limits the share of the event loop's time that goes into reading what clients have not finished sending.

Reading is paid for in time: twisted parses bodies and frames in Python, so a few clients that send the
costliest bytes without a pause would hold all others. All that send in one way together get a share of the
time; a client that exceeds it is not read for a moment, and TCP slows it down. Each way has a budget of its
own: among a thousand senders of chunks, a plain upload waited 27 s for their costs. All budgets together are
less than a third of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SLACK = 0.02
"""Seconds for which unused budget is kept, so that a burst of the share of them needs no wait."""


class ReadingBudget:
    """The processor time of the event loop that reading has used, for all clients that send in one way, which
    get `share` of it."""

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.share = share
        self._clock = clock
        self._even = clock() - SLACK
        """Clock time at which the time used so far will be `share` of the elapsed time."""

    def wait(self, spent: float) -> float:
        """Seconds for which the client must not be read whose data took `spent` seconds of the event loop."""
        now = self._clock()
        self._even = max(self._even, now - SLACK) + spent / self.share
        return max(0.0, self._even - now)


BODIES, OTHERS, MESSAGES = ReadingBudget(0.05), ReadingBudget(0.05), ReadingBudget(0.2)
"""The budgets of this process: for bodies of announced length, for other requests, and for WebSockets and
live bodies."""
