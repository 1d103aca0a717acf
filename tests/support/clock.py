"""The clock that a test moves: of a node, of what reads the module `time`, of Django."""

from __future__ import annotations

from datetime import UTC, datetime

from dtvn.protocol.consensus.effects import Now


class SetClock:
    """It stands until it is moved. A `host.ports.Clock`."""

    def __init__(self, *, wall: int = 1_700_000_000_000_000_000, monotonic: int = 100_000_000_000) -> None:
        """Both in nanoseconds, as SystemClock has them; `wall` since 1970."""
        self.wall = wall
        self.monotonic = monotonic

    def now(self) -> Now:
        """See host.ports.Clock."""
        return Now(self.monotonic, self.wall)

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.monotonic += round(seconds * 1_000_000_000)
        self.wall += round(seconds * 1_000_000_000)

    def seconds(self) -> float:
        """See time.monotonic."""
        return self.monotonic / 1_000_000_000

    def unix(self) -> float:
        """See time.time."""
        return self.wall / 1_000_000_000

    def unix_ns(self) -> int:
        """See time.time_ns."""
        return self.wall

    def moment(self) -> datetime:
        """See django.utils.timezone.now."""
        return datetime.fromtimestamp(self.wall // 1_000 / 1_000_000, UTC)
