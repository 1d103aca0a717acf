"""Which tests run which line: the fast tests, run once with coverage.py and a context for each test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from coverage import CoverageData

ROOT = Path(__file__).resolve().parents[3]
FAST = "not integration and not exhaustive and not bench"
LEFT_OUT = {"docs", "integration", "mutation", "simulation", "vendor"}
"""Folders of tests about other things than the product's lines, or that run nearly all of them each time."""
ALONE = {"trails": "tests/simulation/test_trails.py"}
"""Files of these folders that are recorded all the same."""
UNTRACEABLE = "tests/pages/test_files.py::test_a_file_that_takes_too_long_to_read_is_refused"
"""It interrupts whatever runs, and so the trace function: it does not end under coverage.py."""


def rooms() -> dict[str, str]:
    """Name -> folder or file of tests, of all that is recorded."""
    folders = sorted(each.parent.name for each in (ROOT / "tests").glob("*/__init__.py"))
    return {name: f"tests/{name}" for name in folders if name not in LEFT_OUT} | ALONE


def record(folder: Path, names: list[str], jobs: int) -> Iterator[str]:
    """Run the tests of these rooms and keep what they ran in this folder. Gives a line for each room."""
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda name: _record(folder, name), names)


def _record(folder: Path, name: str) -> str:
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", FAST),
        *("--deselect", UNTRACEABLE, "--cov", "--cov-context=test", "--cov-report="),
        *("-p", "tests.mutation.patches.seconds", "--seconds", str(folder / f"{name}.json"), rooms()[name]),
    ]
    own = {"COVERAGE_FILE": str(folder / f"{name}.coverage")}
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, check=False
    )
    return f"{name}: {(ended.stdout.splitlines() or [ended.stderr])[-1].strip('= ')}"


class Record:
    """What was recorded in a folder."""

    def __init__(self, folder: Path) -> None:
        self.seconds: dict[str, float] = {}
        """Test -> seconds that it took, under coverage.py."""
        for file in sorted(folder.glob("*.json")):
            self.seconds |= msgspec.json.decode(file.read_bytes(), type=dict[str, float])
        self._data = [_read(file) for file in sorted(folder.glob("*.coverage"))]

    def tests_of(self, path: str) -> dict[int, set[str]]:
        """Line -> tests that run it, of a file of the product."""
        found: dict[int, set[str]] = defaultdict(set)
        for data in self._data:
            for measured in data.measured_files():
                if measured.endswith(f"/{path}"):
                    for line, contexts in data.contexts_by_lineno(measured).items():
                        found[line] |= {context.rpartition("|")[0] for context in contexts if context}
        return found


def _read(file: Path) -> CoverageData:
    data = CoverageData(str(file))
    data.read()
    return data
