"""A program that is a node collects garbage between turns."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, time
from dtvn.node.garbage import BetweenTurns

collected = []
gc.callbacks.append(lambda phase, told: phase == "start" and collected.append(told["generation"]))
garbage = BetweenTurns()
garbage.begin(carried=False)
begun = time.monotonic_ns()
garbage.started(carried=False)
assert not gc.isenabled() and gc.get_freeze_count()
collected.clear()
for seconds, idle, generations in (
    (1, True, []), (3, True, [1]), (4, True, []),
    (22, False, []), (24, False, [1]), (301, False, [1]), (302, True, [2]),
):
    garbage.tidy(begun + seconds * 10**9, idle=idle)
    assert collected == generations, (seconds, collected)
    collected.clear()
garbage.end()
assert gc.isenabled() and not gc.get_freeze_count()
garbage.begin(carried=True)
garbage.started(carried=True)
assert collected == [] and not gc.get_freeze_count(), "what the epoch before left is garbage"
"""


def test_a_node_collects_young_garbage_when_idle_and_all_of_it_rarely() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
