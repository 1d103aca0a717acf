"""`pytest --begin-until`: an end for a run that would be stopped in the middle, on a slow machine (0144)."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[1]
TOLD = "tests were not begun: the time given to this run was over. The first was test_played.py::"
PLAYED = """
import pathlib
import pytest

@pytest.fixture
def network():
    pathlib.Path("started").touch()

def test_in_time(request):
    if request.config.option.begin_until:
        request.config.option.begin_until = 0.0  # and now it is over

def test_late(network):
    pass

def test_later_still(network):
    pass
"""


@pytest.mark.parametrize(
    ("left", "counted", "told"),
    [
        (None, "3 passed", ""),
        (8 * PATIENCE, "1 passed, 2 skipped", f"2 {TOLD}test_late"),
        (0.0, "3 skipped", f"3 {TOLD}test_in_time"),
    ],
    ids=["without", "in the middle", "before"],
)
def test_what_has_not_begun_by_then_is_left_out_and_told(
    tmp_path: Path, left: float | None, counted: str, told: str
) -> None:
    (tmp_path / "test_played.py").write_text(PLAYED)
    # Of now: this file was read when the run began, which may be long ago.
    end = time.time() + left if left else left
    words = ["-c", "/dev/null", "--rootdir", ".", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *words, *([] if end is None else [f"--begin-until={end}"])],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{counted} in " in ended.stdout
    _, _, left_out = ended.stdout.partition("NOT EVERYTHING RAN")
    assert left_out.splitlines()[1:2] == ([told] if told else [])
    assert (tmp_path / "started").exists() == (end is None), "no network is started for what is not to run"
