"""Fixed stories of batches, and their transcripts: what every replica of any version must compute.

`python -m tests.tickets_machine.story NAME` prints the transcript of one of STORIES. A changed transcript
means that replicas of two versions disagree about the same log: commit one only together with a new protocol
version, and say why.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from dtvn.machine import (
    Admit,
    Barrier,
    Block,
    ChangeTicket,
    Command,
    Consume,
    Dispute,
    ImportEntry,
    Issue,
    Replace,
    Resolve,
    Seed,
    SetEvent,
    Unblock,
    Validate,
)
from dtvn.machine.leaf import operation_leaf
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.consensus.verified import VerifiedBundle
from tests.tickets_machine.doors import EVENT, Door
from tests.tickets_machine.support import HOUR, SECOND, Machine

GOLDEN = Path(__file__).parent / "golden"


def transcript(name: str) -> list[str]:
    """One line per batch, operation and saved row count, hashes in full."""
    machine, batches = STORIES[name]()
    lines = [f"genesis root {machine.application.root().hex()}"]
    for bundles in batches:
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
                leaf = operation_leaf(index, operation, outcome, machine.now)
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


def door_batches(door: Door) -> Iterator[list[VerifiedBundle]]:
    """Codes, events, blocks and all that came with them."""
    door.session("scanner")
    yield [door.opening()]
    door.sessions["gateway"], door.numbers["gateway"] = (door.sequence, 0), 0

    def ordered(*asked: tuple[Command, str], nonce: bytes = b"") -> VerifiedBundle:
        operations = (door.operation(each, name, event=EVENT, nonce=nonce) for each, name in asked)
        return door.bundle(operations)

    def scanned(*texts: str, ticket: str = "", nonce: bytes = b"") -> VerifiedBundle:
        scans = (Admit(gate="north", device="d1", code=door.digest(text)) for text in texts)
        operations = (door.operation(scan, ticket, event=EVENT, nonce=nonce) for scan in scans)
        return door.bundle(operations, principal="scanner")

    first = Issue(product="Étage", codes=door.digests("A", "B"), metadata=(("b", "2"),))
    yield [scanned("A"), ordered((first, "T-1")), scanned("B", nonce=b"n1"), scanned("T-1", ticket="T-1")]
    products = (("Étage", True), ("Parking", False))
    yield [ordered((SetEvent("Opera", "Europe/Vienna", 7, ids_are_codes=False, products=products), ""))]
    yield [
        ordered(
            (Issue(codes=door.digests("C"), blocked=True, block_reason="cancelled"), "T-2"),
            (Issue(product="Parking", codes=door.digests("P")), "T-3"),
            (Issue(product="Box"), "T-4"),
            (Issue(codes=door.digests("C")), "T-5"),
        ),
        scanned("C", "P", "NOBODY", "T-4"),
        ordered((Unblock(), "T-2"), (ChangeTicket(product="Étage", not_after=9), "T-3"), (Admit(), "T-4")),
        scanned("C", "P"),
    ]
    yield [
        ordered((Replace(door.digests("B", "D")), "T-1"), (Block(reason="refunded"), "T-1")),
        scanned("A", "B", "D"),
        ordered((ImportEntry(at=5, gate="west"), "T-3"), (Admit(code=b""), "T-3"), (Block(), "T-1")),
    ]
    door.now += 3 * HOUR
    yield [scanned("B", nonce=b"n1"), scanned("D", nonce=b"n2")]


def _first() -> tuple[Machine, Iterator[list[VerifiedBundle]]]:
    machine = Machine()
    return machine, batches(machine)


def _doors() -> tuple[Machine, Iterator[list[VerifiedBundle]]]:
    door = Door(created=False)
    return door, door_batches(door)


STORIES = {"story": _first, "doors": _doors}
"""Name of a file in `golden` -> the machine of its story, and the batches."""

if __name__ == "__main__":
    sys.stdout.write("\n".join(transcript(sys.argv[1])) + "\n")
