"""Free space on a node's disk, and a forecast of when it ends. Reads sizes only, and opens no file."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections import deque
from pathlib import Path

from dtvn.node.metrics.snapshot import Value

HOUR = 3_600.0
SAMPLE_EVERY = 30.0
"""Seconds between two stored samples."""

SPAN_MIN = 60.0
"""Seconds of samples that a forecast needs."""


class DiskWatch:
    """Free space on the disk of a ledger's folder, and the pace at which the ledger uses it up."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._samples: deque[tuple[float, int]] = deque(maxlen=int(HOUR / SAMPLE_EVERY))
        """(monotonic seconds, bytes of the ledger)."""

    def look(self) -> dict[str, Value]:
        """The present values by metric name; {} if the folder cannot be read."""
        try:
            usage = shutil.disk_usage(self._ledger)
        except OSError:
            return {}
        size = _bytes_in(self._ledger)
        return {
            "dtvn_disk_free_bytes": usage.free,
            "dtvn_disk_size_bytes": usage.total,
            "dtvn_ledger_bytes": size,
            "dtvn_disk_full_in_seconds": self.forecast(time.monotonic(), size, usage.free),
        }

    def forecast(self, now: float, size: int, free: int) -> float:
        """Seconds until `free` bytes are used up at the ledger's pace; infinite while it does not grow."""
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_EVERY:
            self._samples.append((now, size))
        while self._samples and now - self._samples[0][0] > HOUR:
            self._samples.popleft()
        since, then = self._samples[0] if self._samples else (now, size)
        if now - since < SPAN_MIN or size <= then:
            return math.inf
        return free * (now - since) / (size - then)


def _bytes_in(folder: Path) -> int:
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size
    except OSError:
        return total  # a file was removed meanwhile
    return total
