"""X43: the bench of the contract measures real validators and says on which machine; that of a gate beside
troubles loses no admission; a node grows by no more than its documents say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.network import REPOSITORY
from tests.waiting import MARGIN, PATIENCE

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(600), pytest.mark.bench]


def measured(
    what: str, report: Path, *flags: str, seconds: float = 6 * PATIENCE
) -> tuple[dict[str, Any], str]:
    """What `manage.py bench --only` wrote, and what it printed."""
    command = [sys.executable, "manage.py", "bench", "--only", what, "--output", str(report), *flags]
    told = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert told.returncode == 0, told.stderr
    return json.loads(report.read_text()), told.stdout


def test_a_gate_loses_no_admission_and_admits_none_twice_in_all_troubles(tmp_path: Path) -> None:
    """A twentieth of the ten minutes: what it promises besides its times."""
    found, told = measured("gate", tmp_path / "gate.json", "--scale", "0.05")
    worst, longest, lost, twice = found["lines"]
    assert (lost["value"], twice["value"]) == (0, 0)
    assert 0 < worst["p50_ms"] < worst["value"] <= longest["value"] < MARGIN * 3_000
    assert "750 admissions" in told


def test_r35_a_change_of_members_keeps_no_gate_waiting(tmp_path: Path) -> None:
    """In half of the four minutes, so a p99 counts each change twice."""
    found, told = measured("members", tmp_path / "members.json", "--scale", "0.5")
    *waits, lost = found["lines"]
    assert lost["value"] == 0, told
    assert max(line["value"] for line in waits[::2]) < MARGIN * 2_000, told
    assert max(line["value"] for line in waits[1::2]) < MARGIN * 500, told


def test_x43_two_hundred_validates_by_ten_clients_are_measured(tmp_path: Path) -> None:
    found, told = measured("contract", tmp_path / "bench.json")
    row = found["contract"]
    assert (row["nodes"], row["tickets"], row["clients"]) == (4, 200, 10)
    assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["max_ms"]
    assert row["tickets_per_second"] > 0
    assert found["machine"]["cores"] >= 1
    assert f"p95 {row['p95_ms']:.1f} ms" in told


@pytest.mark.timeout(2_000)
def test_a_million_operations_add_no_more_to_a_node_than_documented(tmp_path: Path) -> None:
    found, told = measured("growth", tmp_path / "growth.json", seconds=1_800)
    bounded = [line for line in found["lines"] if line["target"] is not None]
    assert [line["verdict"] for line in bounded] == ["met"] * 8, told
    assert min(line["value"] for line in bounded[1::2]) > 0
