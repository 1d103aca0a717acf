"""A kind of operation is one file: what it declares is found wherever people and programs look."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.ci
def test_a_kind_that_one_file_declares_is_found_in_rest_feed_and_log() -> None:
    """In a process of its own: routes are made once, from the table as it is then."""
    inside = [sys.executable, "-m", "pytest", "-q", "-p", "tests.kinds.wave", "tests/kinds/wave_is_found.py"]
    ended = subprocess.run(inside, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
