"""A pytest plugin (`-p tests.mutation.seconds --seconds FILE`): seconds of each test, as JSON."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The file to write."""
    parser.addoption("--seconds", type=Path, help="write the seconds of each test to this file, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Measures if a file is given."""
    if file := config.getoption("--seconds"):
        config.pluginmanager.register(Seconds(file))


class Seconds:
    """Sums up what preparing, calling and tidying of each test take."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One of the three phases of a test has ended."""
        self._seconds[report.nodeid] += report.duration  # type: ignore[assignment]  # counts of any number

    def pytest_sessionfinish(self) -> None:
        """All tests have ended."""
        self._file.write_text(json.dumps(self._seconds), encoding="utf-8")
