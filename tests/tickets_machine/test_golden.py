"""Golden vectors: the bytes that replicas of every version and seed must agree on (R1; row 8)."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from dtvn.machine import Admit, Issue, State, TicketState, read_state
from dtvn.machine.leaf import operation_leaf, subtree
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation, Outcome
from tests.support.table import table
from tests.tickets_machine.story import GOLDEN, STORIES
from tests.tickets_machine.support import Machine

ROOT = Path(__file__).resolve().parents[2]

ADMITTED = TicketState(
    event="default",
    ticket="T-1",
    state=State.CONSUMED,
    validator="node2",
    timestamp=1_700_000_000_000_000,
    sequence=7,
    index=3,
    operation="admit",
    principal="gateway",
    actor="gina",
    nonce=b"n",
    gate="north",
    device="d1",
    note="",
    clock=(4, 0, 1),
)
ADMIT = Operation(
    kind="admit",
    event="default",
    ticket="T-1",
    actor="gina",
    entry="node2",
    valid_until=1_700_000_030_000_000,
    nonce=b"n",
    payload=canonical.encode_trimmed(Admit(gate="north", device="d1")),
)


@pytest.mark.parametrize("seed", ["0", "4711"])
@pytest.mark.parametrize("story", STORIES)
def test_row_8_each_story_has_one_transcript_whatever_the_hash_seed(story: str, seed: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.tickets_machine.story", story],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    golden = (GOLDEN / f"{story}.txt").read_text(encoding="utf-8")
    assert told.stdout.splitlines() == golden.splitlines()


def test_golden_ticket_state() -> None:
    assert canonical.encode(ADMITTED).hex() == (
        "9fa764656661756c74a3542d3103a56e6f646532cf00060a24181e40000703a561646d6974a76761"
        "7465776179a467696e61c4016ea56e6f727468a26431a093040001"
    )
    assert read_state(canonical.encode(ADMITTED)) == ADMITTED


def test_golden_leaf_and_subtree() -> None:
    state = canonical.encode(ADMITTED)
    outcomes = [Outcome("ok", state), Outcome("already_consumed", state)]
    leaf = operation_leaf(3, ADMIT, outcomes[0], 1_700_000_000_000_000)
    assert leaf.hex() == ("3575aab8e577b2fc09c727c26e9c410684fd9a3ac2893efcdcaede10df806971")
    other = operation_leaf(4, ADMIT, outcomes[1], 1_700_000_000_000_000)
    root = subtree(3, [ADMIT, ADMIT], outcomes, 1_700_000_000_000_000)
    assert root == sha256(b"\x01" + leaf + other).digest()
    assert root.hex() == ("ec2207a0067f5e52bfb2a4845ad5af983c3752d18cecf9b6e6ddefca5ab7d179")
    assert canonical.merkle_root([]) == canonical.EMPTY_ROOT
    assert canonical.merkle_root([root]) == root


@table(
    "changed",
    [
        {"index": 4},
        {"operation": "other gate"},
        {"outcome": Outcome("already_consumed", canonical.encode(ADMITTED))},
        {"outcome": Outcome("ok", b"")},
        {"outcome": Outcome("ok", canonical.encode(ADMITTED), ())},
        {"outcome": Outcome("ok", canonical.encode(ADMITTED), (2, 0))},
        {"timestamp": 1_700_000_000_000_001},
    ],
    count=7,
)
def test_r1_a_leaf_covers_index_operation_outcome_and_time(changed: dict[str, object]) -> None:
    fields: dict[str, object] = {
        "index": 3,
        "operation": ADMIT,
        "outcome": Outcome("ok", canonical.encode(ADMITTED)),
        "timestamp": 1_700_000_000_000_000,
    }
    if "operation" in changed:
        machine = Machine()
        changed = {"operation": machine.operation(Admit(gate="south"), "T-1")}
    assert operation_leaf(**fields) != operation_leaf(**{**fields, **changed})  # type: ignore[arg-type]


def test_execution_uses_the_leaves_that_a_verifier_computes() -> None:
    machine = Machine()
    bundle = machine.bundle([machine.operation(Issue(), "T-1"), machine.operation(Admit(), "T-1")])
    execution = machine.execute([bundle])
    (result,) = execution.results
    assert result is not None
    assert result.subtree == subtree(0, bundle.bundle.operations, result.outcomes, machine.now)
    assert execution.results_root == canonical.merkle_root([result.subtree])


def test_two_logs_that_differ_in_one_field_have_two_roots() -> None:
    roots = set()
    for gate in ("north", "south"):
        machine = Machine()
        machine.do(Issue(), "T-1")
        machine.do(Admit(gate=gate), "T-1")
        roots.add(machine.application.root())
    assert len(roots) == 2
