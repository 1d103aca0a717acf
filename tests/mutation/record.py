"""Which tests run which line: the fast tests, run once with coverage.py and a context for each test."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec
from coverage import CoverageData

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("dtvn", "dtvn_project", "validators", "tickets", "events", "simulator")
FAST = "not integration and not ci and not exhaustive and not bench"
UNTRACEABLE = "tests/pages/test_files.py::test_a_file_that_takes_too_long_to_read_is_refused"
"""It interrupts whatever runs, and so the trace function: it does not end under coverage.py."""
LEFT_OUT = ("docs", "mutation", "simulation")
"""Folders of tests about other things than the product's lines, or that run nearly all of them each time."""


def record(folder: Path, rooms: Iterable[str], jobs: int, files: Iterable[str] = ()) -> int:
    """Run the tests of `make test`, or of some rooms, and keep what they ran of the product or some files.
    Returns pytest's exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["[run]", f"data_file = {folder / 'lines.coverage'}", "branch = false"]
    lines += ["include =", *(f"    {ROOT / file}" for file in files or (f"{root}/*" for root in PRODUCT))]
    (folder / "coverage.ini").write_text("\n".join([*lines, ""]), encoding="utf-8")
    command = [
        *(
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            str(jobs),
            "--dist",
            "worksteal",
            "-m",
            FAST,
            "--first-rows",
        ),
        *("--cov", f"--cov-config={folder / 'coverage.ini'}", "--cov-context=test", "--cov-report="),
        *("-p", "tests.mutation.seconds", "--seconds", str(folder / "seconds.json")),
        *("--deselect", UNTRACEABLE),
        *([f"tests/{room}" for room in rooms] or [f"--ignore=tests/{room}" for room in LEFT_OUT]),
    ]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


class Record:
    """What was recorded in a folder."""

    def __init__(self, folder: Path) -> None:
        self.seconds: dict[str, float] = {}
        """Test -> seconds that it took, under coverage.py."""
        file = folder / "seconds.json"
        if file.exists():
            self.seconds = msgspec.json.decode(file.read_bytes(), type=dict[str, float])
        self._data = CoverageData(str(folder / "lines.coverage"))
        self._data.read()

    def files(self) -> set[str]:
        """Files of the product of which a test runs some line."""
        return {_relative(measured) for measured in self._data.measured_files()}

    def tests_of(self, path: str) -> dict[int, set[str]]:
        """Line -> tests that run it, of a file of the product."""
        found: dict[int, set[str]] = defaultdict(set)
        for measured in self._data.measured_files():
            if _relative(measured) == path:
                for line, contexts in self._data.contexts_by_lineno(measured).items():
                    found[line] |= {context.rpartition("|")[0] for context in contexts if context}
        return found


def _relative(measured: str) -> str:
    """The path inside of the checkout in which it was recorded."""
    parts = Path(measured).parts
    first = max(parts.index(root) for root in PRODUCT if root in parts)
    return "/".join(parts[first:])
