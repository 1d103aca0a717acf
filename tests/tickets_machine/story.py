"""A fixed story of batches, and its transcript: what every replica of any version must compute.

`python -m tests.tickets_machine.story` prints the transcript; with a file name it writes it there. A
changed transcript means that replicas of two versions disagree about the same log: commit one only
together with a new protocol version, and say why.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from dtvn.machine import Admit, Barrier, Command, Consume, Dispute, Issue, Resolve, Seed, Validate
from dtvn.machine.leaf import operation_leaf
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.consensus.verified import VerifiedBundle
from tests.tickets_machine.support import HOUR, SECOND, Machine

GOLDEN = Path(__file__).parent / "golden" / "story.txt"


def transcript() -> list[str]:
    """One line per batch, operation and saved row count, hashes in full."""
    machine = Machine()
    lines = [f"genesis root {machine.application.root().hex()}"]
    for bundles in batches(machine):
        execution = machine.execute(bundles, after=SECOND)
        lines.append(f"batch {machine.sequence} time {machine.now}")
        for verified, result in zip(bundles, execution.results, strict=True):
            if result is None:
                lines.append("  skipped")
                continue
            lines.append(f"  bundle at {result.first_index} subtree {result.subtree.hex()}")
            for index, (operation, outcome) in enumerate(
                zip(verified.bundle.operations, result.outcomes, strict=True), result.first_index
            ):
                leaf = operation_leaf(index, operation, outcome.code, machine.now, outcome.state)
                lines.append(f"    {operation.kind} {operation.ticket or '-'} {outcome.code} {leaf.hex()}")
        lines.append(f"  results {execution.results_root.hex()}")
        lines.append(f"  root {machine.application.root().hex()}")
        machine.save()
        lines.append(f"  rows {len(machine.rows)}")
    assert machine.reload().root() == machine.application.root()
    return lines


def batches(machine: Machine) -> Iterator[list[VerifiedBundle]]:
    """The story: every kind, every table, duplicates, a second event, an hour later."""
    yield [machine.opening(), machine.opening(nonce=b"spare"), machine.opening()]
    machine.sessions["gateway"], machine.numbers["gateway"] = (1, 0), 0

    def ordered(*operations: Operation, done_below: int = 0) -> VerifiedBundle:
        return machine.bundle(operations, done_below=done_below)

    def asked(command: Command, ticket: str = "", nonce: bytes = b"", **more: str) -> Operation:
        return machine.operation(command, ticket, nonce=nonce, valid_for=60 * SECOND, **more)

    issue = Issue(
        product="Étage",
        seat="A1",
        not_before=1,
        commitment=bytes(range(32)),
        metadata=(("b", "2"), ("a", "1")),
    )
    yield [ordered(asked(issue, "T-1", event="opera"), asked(issue, "T-1", event="opera"))]
    yield [ordered(asked(Seed(), entry="node1"))]
    names = [f"TICKET-{number * 37 % 500 + 1:03d}" for number in range(12)]
    first = ordered(*(asked(Validate(data=b"seen"), name, entry="node2") for name in names))
    yield [first, ordered(asked(Barrier())), first]
    yield [
        ordered(asked(Consume(gate="north", device="d1"), names[0], b"n1", actor="gina")),
        ordered(asked(Consume(gate="north", device="d1"), names[0], b"n1", actor="gina")),
        ordered(asked(Consume(gate="south", device="d1"), names[0], b"n1", actor="gina")),
        ordered(asked(Admit(gate="south", device="d2"), names[0], b"n2")),
        ordered(asked(Admit(gate="south", device="d2"), names[1], b"n3"), done_below=3),
        ordered(asked(Admit(), "TICKET-500"), asked(Admit(), "NOPE")),
    ]
    yield [
        ordered(asked(Dispute(reason="copied"), names[2]), asked(Dispute(), names[3])),
        ordered(asked(Resolve(verdict="clear"), names[2]), asked(Admit(), names[3])),
        ordered(asked(Resolve(verdict="uphold"), names[3])),
        machine.bundle([asked(Barrier())], session=(9, 9), number=0),
    ]
    machine.now += 3 * HOUR
    yield [
        ordered(asked(Consume(gate="north", device="d1"), names[0], b"n1", actor="gina")),
        ordered(asked(Consume(gate="north", device="d1"), names[0], b"n9", actor="gina")),
    ]


if __name__ == "__main__":
    text = "\n".join(transcript()) + "\n"
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
