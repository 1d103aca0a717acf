"""What a flood of requests under one gateway key does to a caller under another (P15, R30; 0186, 0196).

Real hosts, callers, frames and signatures; two virtual processors, and a fixed price of each turn and frame.
tests/integration/test_insiders.py asks the same of real processes.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmarks.floods import EXECUTED, KINDS, PRICE, RATE, RATES, Times, measure, views
from benchmarks.hosts import MEMBERS, MEMORY_DISK, Price, World

pytestmark = pytest.mark.exhaustive

RISE_OF_P50, RISE_OF_P99 = 2.0, 3.0
"""Twice is promised for both; here a frame that is refused unchecked has the price of one that is checked."""

SLOW_MACHINE = Price(2 * PRICE.turn, 2 * PRICE.frame)


def flooded(kind: str, at: range, seconds: float, price: Price = PRICE) -> tuple[Times, Times, list[int]]:
    with (
        TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as folder,
        closing(World(Path(folder) / "cluster", price)) as world,
    ):
        calm, beside = measure(world, kind, at, seconds)
        return calm, beside, views(world)


def test_pitfall_15_openings_by_one_principal_hardly_slow_others() -> None:
    calm, beside, seen = flooded("openings apart", range(MEMBERS), 0.3)
    assert beside.p50 <= RISE_OF_P50 * calm.p50, (calm, beside)
    assert seen == [0] * MEMBERS


def test_pitfall_15_requests_beyond_what_can_be_executed_depose_no_primary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each request of the flood is executed, and those of its principal wait for each other (0196)."""
    monkeypatch.setitem(RATES, "requests", RATE * 3 // 4)
    _calm, beside, seen = flooded("requests", range(MEMBERS), 2.0, SLOW_MACHINE)
    assert seen == [0] * MEMBERS
    assert beside.calls > 1, "the other caller is served too"


@pytest.mark.exhaustive
@pytest.mark.parametrize("at", [range(1, 2), range(MEMBERS)], ids=["one_node", "all_nodes"])
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - EXECUTED))
def test_pitfall_15_no_flood_of_useless_requests_slows_others(kind: str, at: range) -> None:
    calm, beside, seen = flooded(kind, at, 1.0)
    assert beside.p50 <= RISE_OF_P50 * calm.p50, (calm, beside)
    assert beside.p99 <= RISE_OF_P99 * calm.p99, (calm, beside)
    assert seen == [0] * MEMBERS
