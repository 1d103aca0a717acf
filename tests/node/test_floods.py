"""What a flood of requests under one gateway key does to a caller under another (P15, R30; decision 0186).

Real hosts, callers, frames and signatures; two virtual processors, and a fixed price of each turn and frame.
tests/integration/test_insiders.py asks the same of real processes.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmarks.floods import KINDS, PRICE, Times, measure, views
from benchmarks.hosts import MEMBERS, MEMORY_DISK, World

EVERYWHERE = range(MEMBERS)
RISE = 2.5
"""Twice is promised; here each frame of a flood has the price of one whose signature is checked, and the four
nodes share two processors with nobody else, so that a call takes 4 ms."""


def flooded(kind: str, at: range, seconds: float) -> tuple[Times, Times, list[int]]:
    with (
        TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as folder,
        closing(World(Path(folder) / "cluster", PRICE)) as world,
    ):
        calm, beside = measure(world, kind, at, seconds)
        return calm, beside, views(world)


def test_row_15_a_flood_of_openings_harms_its_own_principal_alone() -> None:
    calm, beside, seen = flooded("openings apart", EVERYWHERE, 0.3)
    assert beside.p50 <= RISE * calm.p50, (calm, beside)
    assert seen == [0] * MEMBERS


@pytest.mark.exhaustive
@pytest.mark.parametrize("at", [range(1, 2), EVERYWHERE], ids=["one_node", "all_nodes"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_row_15_no_flood_of_requests_harms_other_principals(kind: str, at: range) -> None:
    calm, beside, seen = flooded(kind, at, 1.0)
    assert beside.p50 <= RISE * calm.p50, (calm, beside)
    assert beside.p99 <= RISE * calm.p99, (calm, beside)
    assert seen == [0] * MEMBERS
