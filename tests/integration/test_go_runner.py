"""The integration runner of the Go DTVN's name: it picks, shows, keeps and stops tests as it was told."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.network import REPOSITORY
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The runner in a project of two tests, one of which waits for ever."""
    made = tmp_path / "project"
    (made / "scripts").mkdir(parents=True)
    shutil.copy(REPOSITORY / "scripts" / "run-integration-tests.sh", made / "scripts")
    (made / ".venv").symlink_to(REPOSITORY / ".venv")
    (made / "dtvn").symlink_to(REPOSITORY / "dtvn")
    (made / "pytest.ini").write_text(
        "[pytest]\nmarkers = integration\n exhaustive\n bench\naddopts = -p no:django\n"
    )
    (made / "tests").mkdir()
    (made / "tests" / "test_two.py").write_text(
        "import threading\n"
        "import pytest\n"
        "pytestmark = pytest.mark.integration\n"
        "def test_quick(tmp_path):\n"
        "    (tmp_path / 'log').write_text('kept')\n"
        "def test_for_ever():\n"
        "    threading.Event().wait()\n"
    )
    return made


def runner(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [checkout / "scripts" / "run-integration-tests.sh", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize("pattern", ["quick", "tests/test_two.py::test_quick"])
def test_it_runs_what_a_pattern_names_and_cleans_up(checkout: Path, pattern: str) -> None:
    done = runner(checkout, "-v", "-p", "--pattern", pattern)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED tests/test_two.py::test_quick" in done.stdout
    assert "test_for_ever" not in done.stdout
    assert not (checkout / "test-data").exists()


def test_it_keeps_the_data_if_asked(checkout: Path) -> None:
    assert runner(checkout, "--no-cleanup", "--pattern", "quick").returncode == 0
    (log,) = (checkout / "test-data" / "integration").glob("test_quick0/log")
    assert log.read_text() == "kept"


def test_it_stops_after_the_time_given(checkout: Path) -> None:
    stopped = runner(checkout, "--timeout", "5s")
    assert stopped.returncode == 1
    assert stopped.stderr.strip().endswith("Stopped after 5s (--timeout).")


def test_a_pattern_that_matches_nothing_is_said(checkout: Path) -> None:
    missed = runner(checkout, "--pattern", "no_such_test")
    assert missed.returncode == 1
    assert "No integration test matches 'no_such_test'." in missed.stderr
