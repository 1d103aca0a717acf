"""A pytest plugin (`-p tests.mutation.hunt --hunt FILE`): instead of running the tests, plants each mutant of
a file in a child of this process and runs the tests of its line there, the quickest first, until one fails.

The file holds `Prey` as JSON lines; the verdicts are written beside it, to FILE.verdicts.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from django.conf import settings

from tests.mutation.planting import Mutant, plant

SECONDS = 15
"""Of processor time for one mutant: one whose tests all pass until then survives."""
WAIT_MAX = 45
"""Seconds after which a mutant counts as caught, because it makes a test wait for ever."""


class Prey(msgspec.Struct, frozen=True):
    """A mutant and the tests that run its line, the quickest first."""

    mutant: Mutant
    tests: tuple[str, ...]


class Verdict(msgspec.Struct, frozen=True):
    """What became of a mutant."""

    mutant: Mutant
    tests: int
    """How many run its line."""
    caught_by: str
    """The test that failed, or how the tests ended; empty: none failed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The mutants to plant."""
    parser.addoption("--hunt", type=Path, help="plant each mutant of this file in place of a run")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Plant the mutants, if a file names some."""
    file: Path | None = session.config.getoption("--hunt")
    if file is None:
        return None
    items = {item.nodeid: item for item in session.items}
    _prepare_databases(session.items)
    gc.unfreeze()
    with Path(f"{file}.verdicts").open("wb") as out:
        for prey in msgspec.json.decode(b"[%s]" % b",".join(file.read_bytes().splitlines()), type=list[Prey]):
            tests = [items[test] for test in prey.tests if test in items]
            caught_by = _judge(session, prey.mutant, tests) if tests else ""
            out.write(msgspec.json.encode(Verdict(prey.mutant, len(tests), caught_by)) + b"\n")
            out.flush()
    return True


def _prepare_databases(items: list[pytest.Item]) -> None:
    """Make the test databases once, for all children: the first test that needs them makes them. What follows
    it as far as pytest knows is a test of another folder, so that only what all tests share stays set up."""
    needing = next((item for item in items if item.get_closest_marker("django_db")), None)
    if needing is not None:
        room = needing.path.parent
        other = next((item for item in items if not item.path.is_relative_to(room)), None)
        needing.config.hook.pytest_runtest_protocol(item=needing, nextitem=other)
    for file in _databases():
        shutil.copy(file, f"{file}.clean")


def _databases() -> Iterator[Path]:
    for database in settings.DATABASES.values():
        file = Path(database["TEST"]["NAME"])
        if file.exists():
            yield file


def _judge(session: pytest.Session, mutant: Mutant, tests: list[pytest.Item]) -> str:
    """The test that fails in a child which has the mutant, or how the child ended; "" if all passed."""
    for file in _databases():
        shutil.copy(f"{file}.clean", file)
        for rest in ("-wal", "-shm"):
            Path(f"{file}{rest}").unlink(missing_ok=True)
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setpgid(0, 0)
        try:
            os.write(writing, _first_failure(session, mutant, tests).encode()[:4000] or b"\n")
        except BaseException:  # noqa: BLE001  # whatever it is, the parent is told and the child ends
            os.write(writing, traceback.format_exc().encode()[-500:])
        os._exit(0)
    os.close(writing)
    began, told = time.monotonic(), b""
    if select.select([reading], [], [], WAIT_MAX)[0]:
        told = os.read(reading, 4096)
    os.close(reading)
    waited = time.monotonic() - began >= WAIT_MAX
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if not told:  # over its processor time, or waiting for ever
        return "tests that do not end" if waited else ""
    return told.decode().strip()


def _first_failure(session: pytest.Session, mutant: Mutant, tests: list[pytest.Item]) -> str:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    if not plant(mutant):
        return "nothing: no function of this process has the line"
    failures = _Failures()
    session.config.pluginmanager.register(failures)
    for place, item in enumerate(tests):
        following = tests[place + 1] if place + 1 < len(tests) else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if failures.tests:
            return failures.tests[0]
    return ""


class _Failures:
    def __init__(self) -> None:
        self.tests: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One of the three phases of a test has ended."""
        if report.failed:
            self.tests.append(report.nodeid)
