"""The same seed gives the same run, event by event, whatever Python's hash seed is (row 8)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simulator.campaign import Task, run

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from simulator.campaign import Task, run; print(run(Task(int(sys.argv[1]))))"


@pytest.mark.parametrize("seed", [3, 50])
def test_the_same_seed_gives_the_same_run(seed: int) -> None:
    """Seed 50 signs with real Ed25519."""
    assert run(Task(seed)) == run(Task(seed))


@pytest.mark.ci
def test_the_run_does_not_depend_on_the_hash_seed() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, "7"],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2", "77")
    ]
    assert "fingerprint=" in outputs[0]
    assert len(set(outputs)) == 1
