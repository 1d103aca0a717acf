"""The forecast of when a node's disk is full."""

from __future__ import annotations

import math
from pathlib import Path

from dtvn.node.metrics.disk import DiskWatch


def test_the_forecast_divides_free_space_by_the_rate(tmp_path: Path) -> None:
    watch = DiskWatch(tmp_path)
    assert watch.forecast(0.0, 1_000, 500_000) == math.inf
    assert watch.forecast(100.0, 2_000, 500_000) == 50_000.0


def test_the_forecast_uses_the_last_hour_only(tmp_path: Path) -> None:
    watch = DiskWatch(tmp_path)
    watch.forecast(0.0, 0, 1_000)
    watch.forecast(3_000.0, 900_000, 1_000)
    assert watch.forecast(7_000.0, 900_000, 1_000) == math.inf


def test_measuring_gives_sizes_and_nothing_for_a_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(bytes(12_345))
    found = DiskWatch(tmp_path).look()
    assert found["dtvn_ledger_bytes"] == 12_345
    assert 0 < found["dtvn_disk_free_bytes"] <= found["dtvn_disk_size_bytes"]  # type: ignore[operator]
    assert DiskWatch(tmp_path / "gone").look() == {}
