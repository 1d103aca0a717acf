"""The wall clock that a node goes by: its machine's, but for a step that it holds back (R3).

A wall clock that moves against the time since the machine's start was set, by its operator or by a time
server: rightly or not. A member holds such a step back until the clocks of enough other members are nearer to
the new time. If they are not, it tells so after a minute, and goes by the time that those members share.
Small steps, and the slow ones with which a time server usually sets a clock, are followed at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.host.ports import Clock
from dtvn.protocol.log_time import shared_time

HELD_FOR = 60_000_000_000
"""Nanoseconds after which a step that is still held back is told, and others' time is gone by."""


class OwnClock:
    """A ports.Clock over that of the machine. `bound`: microseconds by which clocks may differ."""

    def __init__(self, machine: Clock, bound: int) -> None:
        self._machine = machine
        self._bound = 1_000 * bound
        self._offset: int | None = None
        """Nanoseconds by which the machine's clock was ahead of the time since its start, before a step."""
        self._shared: int | None = None
        """The same of the time that others share, while a step is held back for long; or None."""
        self._since: int | None = None
        """Time since the machine's start at which it was stepped; None: it was not."""

    def adopt(self, before: OwnClock) -> None:
        """Go on as a clock of the same process."""
        self._offset, self._shared, self._since = before._offset, before._shared, before._since

    def over(self, machine: Clock) -> OwnClock:
        """The same clock over that of another machine, onto which the process was copied."""
        copied = OwnClock(machine, self._bound // 1_000)
        copied.adopt(self)
        return copied

    def now(self) -> Now:
        """See ports.Clock. `Now.held` says by how much it is ahead of the machine's clock."""
        read = self._machine.now()
        boot = read.boot or read.monotonic
        offset = read.wall - boot
        if self._offset is None or abs(offset - self._offset) <= self._bound:
            self._follow(offset)
            return read
        if self._since is None:
            self._since = boot
        held = (self._offset if self._shared is None else self._shared) - offset
        return Now(read.monotonic, read.wall + held, read.taken, read.boot, held)

    def weigh(self, now: Now, others: Sequence[int], needed: int) -> None:
        """The step that `now` holds back is followed once so many of the others' clocks (Unix nanoseconds, as
        they show now) are nearer to the new time than to the old."""
        boot = now.boot or now.monotonic
        if self._offset is None or self._since is None:
            return
        new, old = now.wall - now.held, boot + self._offset
        if sum(abs(each - new) < abs(each - old) for each in others) >= needed:
            self._follow(new - boot)
        elif boot - self._since >= HELD_FOR:
            shared = shared_time(others, needed, self._bound, near=old)
            self._shared = None if shared is None else shared - boot

    def doubtful(self, now: Now) -> int:
        """Nanoseconds by which the machine's clock is ahead of the time gone by, negative: behind it, if a
        step was held back for long; else 0."""
        boot = now.boot or now.monotonic
        return -now.held if self._since is not None and boot - self._since >= HELD_FOR else 0

    def _follow(self, offset: int) -> None:
        self._offset, self._shared, self._since = offset, None, None
