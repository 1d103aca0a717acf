"""Generated mutants: which slips there are, and that a planted one is in the running process."""

from __future__ import annotations

import subprocess
import sys

from tests.mutation.planting import ROOT, slips

QUORUM = "dtvn/protocol/quorum.py"
PROGRAM = """
from dtvn.protocol.quorum import Mode, faults
from tests.mutation.planting import plant, slips
before = faults(7, Mode.PBFT)
wrong = next(each for each in slips("dtvn/protocol/quorum.py") if each.change == "members - 1 -> members + 1")
assert plant(wrong)
print(before, faults(8, Mode.PBFT))
"""


def test_each_slip_of_a_function_is_listed_once_with_its_line() -> None:
    found = slips(QUORUM)
    assert len(set(found)) == len(found) > 10
    lines = (ROOT / QUORUM).read_text(encoding="utf-8").splitlines()
    for mutant in found:
        before = mutant.change.partition(" -> ")[0]
        assert before.split()[0] in lines[mutant.line - 1], mutant


def test_a_planted_slip_is_what_importers_of_the_function_call() -> None:
    command = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["2", "3"]
