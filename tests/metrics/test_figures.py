"""What the loop counts: phases, sizes and outcomes."""

from __future__ import annotations

import time

from dtvn.machine import Validate, build
from dtvn.node.metrics.figures import Figures
from dtvn.protocol.consensus.effects import EntryRecord, Executed, Note, SlotRecord
from dtvn.protocol.consensus.messages import Bundle, Entry, Operation, Outcome


def slot(sequence: int, phase: str, view: int = 0) -> SlotRecord:
    return SlotRecord(epoch=0, view=view, sequence=sequence, phase=phase, frames=())


def entry(sequence: int) -> EntryRecord:
    return EntryRecord(entry=Entry(0, sequence, b"", b"", 0, bytes(32)), entry_hash=b"", body=b"", commits=())


def executed(*operations: tuple[Operation, str]) -> Executed:
    bundle = Bundle(
        principal="gateway",
        epoch=0,
        session=(1, 0),
        number=1,
        done_below=1,
        client=b"",
        operations=tuple(operation for operation, _code in operations),
    )
    outcomes = tuple(Outcome(code, b"") for _operation, code in operations)
    return Executed(entry(1).entry, b"", ((bundle, 0, outcomes),), view=0)


def operation() -> Operation:
    return build(Validate(), ticket="T", actor="a", entry="node0", valid_until=1)


def value(figures: Figures, name: str, **labels: str) -> float | None:
    return figures.registry.get_sample_value(name, labels)


def test_an_entry_that_was_fetched_has_no_latency() -> None:
    figures = Figures()
    figures.recorded([entry(7)], time.monotonic_ns())
    assert value(figures, "consensus_latency_seconds_count") == 0


def test_outcomes_are_counted_by_kind_and_batches_by_size() -> None:
    figures = Figures()
    figures.notice(executed((operation(), "ok"), (operation(), "already_validated"), (operation(), "ok")))
    figures.notice(Note(kind="entered_view", fields={"view": 1}))
    assert figures.operations == {("validate", "ok"): 2, ("validate", "already_validated"): 1}
    assert figures.outcomes() == {"ok": 2, "already_validated": 1}
    assert [value(figures, "dtvn_batch_operations_bucket", le=le) for le in ("2.0", "5.0")] == [0, 1]


def test_undecided_sequences_are_kept_in_a_bounded_number() -> None:
    figures = Figures()
    now = time.monotonic_ns()
    for sequence in range(10_000):
        figures.recorded([slot(sequence, "prepare")], now)
    for sequence in range(10_000):
        figures.recorded([entry(sequence)], now)
    assert value(figures, "consensus_latency_seconds_count") == 4_096
