"""System calls on a member's ledger for one operation, on a virtual clock: an upper bound on any machine."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.ledger.lone_operation import MARKS
from tests.ledger.syncs import run

CALLS_MAX = 90
"""All calls with one of its files, opened or named, between two words of the operation: writes, reads, locks,
syncs. A change that raises it says why."""


@pytest.mark.skipif(shutil.which("strace") is None, reason="counts with strace")
def test_a_lone_operation_makes_few_system_calls_on_a_ledger(tmp_path: Path) -> None:
    log = tmp_path / "strace.log"
    tracer = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-e", "trace=%desc,%file", "-o", str(log)]
    run([*tracer, sys.executable, "-m", "tests.ledger.lone_operation", str(tmp_path / "world"), "4"])
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
    assert max(counted.values()) <= CALLS_MAX, counted
