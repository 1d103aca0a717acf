"""What tests look with and a machine may lack: a browser, servers, node."""

from __future__ import annotations

import os
from collections import Counter
from typing import NoReturn

import pytest


def lacking(why: str) -> NoReturn:
    """Skip this test on a person's machine; fail if `CI=true`, where every test must run. `why` says what to
    install, and comes once for all tests in the summary of the run."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each thing that this machine lacks."""
    skipped = [report.longrepr for report in terminalreporter.getreports("skipped")]
    for why, tests in Counter(told[2] for told in skipped if isinstance(told, tuple)).items():
        terminalreporter.write_line(f"left out {tests} tests: {why.removeprefix('Skipped: ')}", yellow=True)
