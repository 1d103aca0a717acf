"""A patch in a checkout of its own: the tests of its lines run until one fails or their time is over."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.mutation.places import choose_tests
from tests.mutation.record import FAST, ROOT, Record

FIRST = 100
"""The quickest tests are run first, so that the modules of the others need not be imported."""
WAIT_MAX = 600
"""Seconds after which a patch counts as caught that makes a test wait for ever."""


class Verdict(msgspec.Struct, frozen=True):
    """What became of a patch."""

    patch: str
    tests: int
    """How many run its lines."""
    caught_by: str = ""
    """The test that failed, or how the tests ended; empty: none failed."""
    seconds: float = 0.0
    """Processor time of the tests."""

    def __str__(self) -> str:
        said = f"caught by {self.caught_by}" if self.caught_by else "SURVIVES"
        return f"{self.patch}: {said} ({self.tests} tests run its lines, {self.seconds:.0f} s)"


@contextmanager
def checkout() -> Iterator[Path]:
    """A second checkout of the commit, for the time of the block."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "checkout"
        _git(ROOT, "worktree", "add", "--quiet", "--detach", str(place))
        try:
            yield place
        finally:
            _git(ROOT, "worktree", "remove", "--force", str(place))


def judge(patch: Path, place: Path, record: Record, limit: float) -> Verdict:
    """Have the tests tried on a patch in this checkout, for `limit` seconds of processor time. Raises
    CalledProcessError if it does not apply."""
    tests = choose_tests(patch.read_text(encoding="utf-8"), record)
    _git(place, "apply", str(patch.resolve()))
    try:
        caught_by, took = "", 0.0
        for portion in (tests[:FIRST], tests[FIRST:]):
            if portion and not caught_by and took < limit:
                caught_by, more = _run(place, portion, limit - took)
                took += more
        return Verdict(patch.name, len(tests), caught_by, took)
    finally:
        _git(place, "checkout", "--quiet", ".")
        _git(place, "clean", "--quiet", "--force", "-d")


def _run(place: Path, tests: list[str], limit: float) -> tuple[str, float]:
    """The first failure, or "", and the processor time that it took."""
    named = place.parent / "tests.txt"
    named.write_text("\n".join(tests), encoding="utf-8")
    command = [
        *(sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", FAST),
        *("--tb=no", "--hypothesis-seed=0", f"@{named}"),
    ]
    seconds = max(1, int(limit))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        ended = subprocess.run(
            command,
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_MAX,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5)),
        )
    except subprocess.TimeoutExpired:
        return "tests that do not end", limit
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if ended.returncode <= 0:  # all passed, or their time was over
        return "", took
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", ended.stdout, re.MULTILINE)
    return failed[1] if failed else f"pytest, which ended with {ended.returncode}", took


def _git(place: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=place, check=True, capture_output=True, text=True)
