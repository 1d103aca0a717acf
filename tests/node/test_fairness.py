"""What a client at ten times its share does to another, where each turn has a fixed price (R30).

Real hosts, callers, frames and signatures; two virtual processors. tests/integration/test_node_flood.py asks
the same of real processes, whose processors others use too.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmarks.fairness import measure, modest
from benchmarks.hosts import MEMORY_DISK, Price, World

pytestmark = pytest.mark.exhaustive

TURN, FRAME = 250_000, 70_000
"""Nanoseconds: as they were measured on two cores, with what each frame took the processor."""


@pytest.mark.parametrize("slowness", [1, 2])
def test_r30_ten_times_the_share_does_not_double_anothers_p99(slowness: int) -> None:
    """On the slow one the greedy client's requests wait for a quarter of T and more, behind themselves."""
    with (
        TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as folder,
        closing(World(Path(folder) / "cluster", Price(TURN * slowness, FRAME * slowness))) as world,
    ):
        caller = modest(world)
        fair = measure(world, caller, 1, 1.0)
        assert measure(world, caller, 10, 1.0) <= 2 * fair
