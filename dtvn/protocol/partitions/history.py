"""The partitions of the past."""

from __future__ import annotations

from dtvn.protocol.durations import SECOND
from dtvn.protocol.partitions.values import PartitionInfo

DAY = 24 * 3_600 * SECOND
"""Nanoseconds for which a partition is remembered in any case."""
NEWEST = 100
"""Partitions that are remembered in any case."""
MOST = 10_000
"""Partitions that are remembered at most; then the oldest go. One attempt of recovery every ten seconds makes
8,640 a day."""


class History:
    """Partitions, oldest first, the active one among them."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, PartitionInfo]] = []
        """(monotonic nanoseconds of detection, partition)."""

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, info: PartitionInfo, now: int) -> None:
        """Remember a partition that was detected now."""
        self._kept.append((now, info))
        del self._kept[:-MOST]

    def replace(self, info: PartitionInfo) -> None:
        """Remember the newest partition as it is now."""
        self._kept[-1] = self._kept[-1][0], info

    def clean(self, now: int) -> None:
        """Forget what is older than a day, but for the newest."""
        old = sum(detected < now - DAY for detected, _info in self._kept)
        del self._kept[: max(0, min(old, len(self._kept) - NEWEST))]

    def all(self) -> tuple[PartitionInfo, ...]:
        """All that is remembered, oldest first."""
        return tuple(info for _detected, info in self._kept)
