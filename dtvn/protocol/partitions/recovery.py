"""How the active partition ends, by the strategy of its watch: what is to be true, and what is wanted of the
host."""

from __future__ import annotations

from dtvn.protocol.durations import SECOND
from dtvn.protocol.partitions.config import RecoveryStrategy, WatchConfig
from dtvn.protocol.partitions.values import PartitionInfo, WantsJudgement, WantsState

RECOVERY_EVERY = 10 * SECOND
"""Nanoseconds between two attempts."""
WANTED: dict[RecoveryStrategy, type[WantsJudgement] | type[WantsState]] = {
    RecoveryStrategy.MERGE: WantsJudgement,
    RecoveryStrategy.RESET: WantsState,
}
"""Strategies that need the host to do something, and what."""


class Recovery:
    """Attempts to recover from one partition; one at a time. Times are monotonic nanoseconds."""

    def __init__(self, info: PartitionInfo, config: WatchConfig, now: int) -> None:
        self._info = info
        self._config = config
        self._asked_at: int | None = None
        """When the host was asked; None: it is asked for nothing."""
        self._automatic = config.auto_recovery and info.recovery_strategy is not RecoveryStrategy.MANUAL
        self._next = now + RECOVERY_EVERY

    @property
    def in_progress(self) -> bool:
        """Whether the host was asked for something, and has not reported it yet."""
        return self._asked_at is not None

    @property
    def waits_for_host(self) -> bool:
        """Whether the strategy needs the host to do something."""
        return self._info.recovery_strategy in WANTED

    def due(self) -> int | None:
        """When there is something to try or to give up; None: never, only an operator ends it."""
        if self._asked_at is not None:
            return self._asked_at + self._config.recovery_timeout
        return self._next if self._automatic else None

    def expired(self, now: int) -> bool:
        """Whether the host has not reported in time; the attempt is over then."""
        if self._asked_at is None or now < self._asked_at + self._config.recovery_timeout:
            return False
        self.end(now)
        return True

    def begin(self, now: int) -> WantsJudgement | WantsState | None:
        """Begin an attempt if one is due, and the nodes can be reached: what is wanted of the host, or None
        if the strategy wants nothing of it."""
        self._next = now + RECOVERY_EVERY
        wanted = WANTED.get(self._info.recovery_strategy)
        if wanted is None:
            return None
        self._asked_at = now
        return wanted(self._info.id)

    def is_due(self, now: int) -> bool:
        """Whether another attempt may begin."""
        return self._automatic and self._asked_at is None and now >= self._next

    def postpone(self, now: int) -> None:
        """The nodes cannot be reached: try later."""
        self._next = now + RECOVERY_EVERY

    def end(self, now: int) -> bool:
        """The host has reported, or is given up; whether it was asked."""
        asked, self._asked_at = self._asked_at is not None, None
        self._next = now + RECOVERY_EVERY
        return asked
