"""System calls on a member's ledger for operations, on a virtual clock: an upper bound on any machine."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.ledger.lone_operation import MARKS
from tests.ledger.syncs import run
from tests.needed import lacking

LONE, SINGLES, BUNDLE = 90, 230, 165
"""All calls with one of its files, opened or named, from request to rows: writes, reads, locks, syncs.
Counted were 78, 198 and 142. A change that raises one says why."""


@pytest.mark.ci
@pytest.mark.parametrize(
    ("bundles", "operations", "calls_max"),
    [
        pytest.param(1, 1, LONE, id="a lone operation"),
        pytest.param(16, 1, SINGLES, id="sixteen singles"),
        pytest.param(1, 100, BUNDLE, id="a bundle of 100"),
    ],
)
def test_operations_make_few_system_calls_on_a_ledger(
    bundles: int, operations: int, calls_max: int, tmp_path: Path
) -> None:
    if not shutil.which("strace"):
        lacking("no strace on this machine: apt-get install strace")
    log = tmp_path / "strace.log"
    tracer = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-e", "trace=%desc,%file", "-o", str(log)]
    played = [str(tmp_path / "world"), "4", "", str(bundles), str(operations)]
    run([*tracer, sys.executable, "-m", "tests.ledger.lone_operation", *played])
    path = re.compile(rf"{re.escape(str(tmp_path / 'world'))}/(r\d)/([\w.-]+)")
    counted: dict[str, int] = {}
    counting: set[str] = set()
    for line in log.read_text().splitlines():
        if (found := path.search(line)) is None:
            continue
        member, name = found.groups()
        if name == "begin":
            counting.add(member)
        elif name == "end":
            counting.discard(member)
        elif member in counting and name not in MARKS:
            counted[member] = counted.get(member, 0) + 1
    assert set(counted) == {"r0", "r1", "r2", "r3"}
    assert max(counted.values()) <= calls_max, counted
