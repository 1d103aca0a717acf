"""What the loop counts: phases, sizes, outcomes, and the clocks of primaries."""

from __future__ import annotations

import time

import pytest

from dtvn.machine import Validate, build
from dtvn.node.metrics.figures import Figures
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import EntryRecord, Executed, Note, SlotRecord
from dtvn.protocol.consensus.messages import Batch, Bundle, Entry, Operation, Outcome
from tests.host.support import make_genesis

SECOND = 1_000_000_000
MEMBERS = [member.id for member in make_genesis(4).members]


def slot(sequence: int, phase: str, view: int = 0) -> SlotRecord:
    return SlotRecord(epoch=0, view=view, sequence=sequence, phase=phase, frames=())


def entry(
    sequence: int, *, timestamp: int = 0, proposed: int | None = None, body: bytes | None = None
) -> EntryRecord:
    """`proposed`: by the primary's clock; None: the effective `timestamp`."""
    inner = Entry(0, sequence, b"", b"", timestamp, bytes(32))
    if body is None:
        body = canonical.encode(Batch(0, timestamp if proposed is None else proposed, ()))
    return EntryRecord(entry=inner, entry_hash=b"", body=body, commits=())


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


def test_phases_last_from_record_to_record() -> None:
    figures = Figures(MEMBERS, 1)
    began = time.monotonic_ns() - 3 * SECOND
    figures.recorded([slot(7, "prepare")], began)
    figures.recorded([slot(7, "prepared"), slot(7, "commit")], began + SECOND)
    figures.recorded([entry(7)], began + 2 * SECOND)
    assert value(figures, "dtvn_phase_seconds_sum", phase="prepare") == pytest.approx(1.0)
    assert value(figures, "dtvn_phase_seconds_sum", phase="commit") == pytest.approx(2.0, abs=0.5)
    assert value(figures, "consensus_latency_seconds_sum") == pytest.approx(3.0, abs=0.5)


def test_a_second_proposal_of_a_sequence_does_not_restart_its_timing() -> None:
    figures = Figures(MEMBERS, 1)
    began = time.monotonic_ns() - 10 * SECOND
    figures.recorded([slot(7, "prepare", view=0)], began)
    figures.recorded([slot(7, "prepare", view=1)], began + 9 * SECOND)
    figures.recorded([entry(7)], began + 10 * SECOND)
    assert value(figures, "consensus_latency_seconds_sum") == pytest.approx(10.0, abs=0.5)


def test_an_entry_that_was_fetched_has_no_latency() -> None:
    figures = Figures(MEMBERS, 1)
    figures.recorded([entry(7)], time.monotonic_ns())
    assert value(figures, "consensus_latency_seconds_count") == 0


def test_the_clock_of_a_primary_is_judged_by_its_quickest_proposal() -> None:
    figures = Figures(MEMBERS, 1)
    for sequence, ahead in ((1, 0.5), (2, 0.1), (3, 0.9)):
        assert figures.offsets() == {}, "too few: each of them may have been delayed"
        now = time.monotonic_ns()
        figures.recorded([slot(sequence, "prepare", view=2)], now)
        figures.recorded([entry(sequence, timestamp=int((time.time() - ahead) * 1e6))], now)
    assert figures.offsets() == {MEMBERS[2]: pytest.approx(0.1, abs=0.05)}


def test_a_primarys_clock_is_judged_right_while_log_time_is_an_hour_ahead() -> None:
    figures = Figures(MEMBERS, 1)
    ahead = int((time.time() + 3_600) * 1e6)
    for sequence in (1, 2, 3):
        now = time.monotonic_ns()
        figures.recorded([slot(sequence, "prepare", view=2)], now)
        proposed = time.time_ns() // 1_000
        figures.recorded([entry(sequence, timestamp=ahead + sequence, proposed=proposed)], now)
    assert figures.offsets() == {MEMBERS[2]: pytest.approx(0.0, abs=0.05)}


def test_a_node_does_not_judge_its_own_clock_nor_null_requests() -> None:
    figures = Figures(MEMBERS, 1)
    now = time.monotonic_ns()
    figures.recorded([slot(1, "pre_prepare", view=1), slot(2, "prepare", view=2)], now)
    figures.recorded([entry(1), entry(2, body=b"")], now)
    assert figures.offsets() == {}


def test_outcomes_are_counted_by_kind_and_batches_by_size() -> None:
    figures = Figures(MEMBERS, 0)
    figures.notice(executed((operation(), "ok"), (operation(), "already_validated"), (operation(), "ok")))
    figures.notice(Note(kind="entered_view", fields={"view": 1}))
    assert figures.operations == {("validate", "ok"): 2, ("validate", "already_validated"): 1}
    assert figures.outcomes() == {"ok": 2, "already_validated": 1}
    assert [value(figures, "dtvn_batch_operations_bucket", le=le) for le in ("2.0", "5.0")] == [0, 1]


def test_undecided_sequences_are_kept_in_a_bounded_number() -> None:
    figures = Figures(MEMBERS, 1)
    now = time.monotonic_ns()
    for sequence in range(10_000):
        figures.recorded([slot(sequence, "prepare")], now)
    for sequence in range(10_000):
        figures.recorded([entry(sequence)], now)
    assert value(figures, "consensus_latency_seconds_count") == 4_096


def test_a_member_that_left_takes_its_clock_along() -> None:
    figures = Figures(MEMBERS, 1)
    for sequence in range(1, 7):
        view = 2 if sequence < 4 else 3
        now = time.monotonic_ns()
        figures.recorded([slot(sequence, "prepare", view=view)], now)
        figures.recorded([entry(sequence, timestamp=time.time_ns() // 1_000)], now)
    assert figures.offsets().keys() == {MEMBERS[2], MEMBERS[3]}
    figures.follow([MEMBERS[0], MEMBERS[1], MEMBERS[3]], 1)
    assert figures.offsets().keys() == {MEMBERS[3]}
