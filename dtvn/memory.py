"""Memory of this process."""

from __future__ import annotations

import os
from pathlib import Path

STATM = Path("/proc/self/statm")
"""Linux only: pages of this process; the second number is those in memory."""


def resident_bytes() -> int:
    """Bytes of this process that are in memory now; 0 where the system does not say."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
