"""X43: the bench of the contract measures real validators and says on which machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.network import REPOSITORY
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(600), pytest.mark.bench]


def test_x43_two_hundred_validates_by_ten_clients_are_measured(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"
    command = [sys.executable, "manage.py", "bench", "--only", "contract", "--output", str(report)]
    told = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=6 * PATIENCE, check=False
    )
    assert told.returncode == 0, told.stderr
    found = json.loads(report.read_text())
    row = found["contract"]
    assert (row["nodes"], row["tickets"], row["clients"]) == (4, 200, 10)
    assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["max_ms"]
    assert row["tickets_per_second"] > 0
    assert found["machine"]["cores"] >= 1
    assert f"p95 {row['p95_ms']:.1f} ms" in told.stdout
