"""Golden runs: whatever a change alters of what members, learners, relays and gateways do, write or show in
these worlds, the hash of that second is another one.

Most promises hold in spite of one slip: members correct each other, and checkers ask whether the cluster kept
its word. A trail asks whether each process did what it did before. Which second differs first is in the
failure; `manage.py simulator replay` with the flags in the file's first line tells that second in words, here
and in a checkout from before the change.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.campaign import Task
from tests.golden import Compare
from tests.simulation.trail import told_trail

HERE = Path(__file__).parent / "trails"
PBFT = """
any-algorithm archives-among-crashes archives-of-newcomers barrier-reads byte-corrupter
clocks-of-gateways equivocating-voter false-epoch-catch-up false-voter forked full-disks late-voter
lists-among-crashes lists-and-clocks lock-queues many-learners many-sessions misshapen-archives
mutator old-heads-of-two poisoned-archives poisoned-chunks poisoned-terms power-cut-in-transfers
recovery-from-prepared small tickless-primary unlike-rules view-change-forger votes-before-proposals
votes-taken-back
"""
RAFT = """
raft-lost-disks raft-unheard-leader raft:clocks-among-crashes raft:doors-among-crashes
raft:doors-among-transfers raft:early-ticks raft:epoch-catch-up raft:few-members
raft:lists-among-crashes raft:lists-among-transfers raft:lock-queues raft:lost-disks
raft:many-learners raft:recorded-runs raft:runs-over-epochs raft:suspended-nodes
raft:two-certificates
"""
RUNS = [
    *(Task(1, world) for world in (PBFT + RAFT).split()),
    *(Task(seed) for seed in (3, 5, 7, 9, 10, 11, 14, 16, 17, 20)),
]
"""These take every way that any world takes, the rare ones in several worlds, in the least time."""


@pytest.mark.parametrize("task", RUNS, ids=[f"{task.world}-{task.seed}" for task in RUNS])
def test_a_run_leaves_its_trail(task: Task, golden: Compare) -> None:
    golden(HERE / f"{task.world.replace(':', '+')}-{task.seed}.txt", told_trail(task))
