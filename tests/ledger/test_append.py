"""What a turn wrote is what the next process reads (PROTOCOL R6, R7, R9)."""

from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus.effects import Prune, StateRecord
from dtvn.protocol.host.ports import JournalError, LedgerTail
from tests.consensus.doubles import SLOT_PHASES
from tests.ledger.samples import CLUSTER, LogWriter, slot
from validators.ledger import Ledger, open_ledger


def reopened(ledger: Ledger) -> tuple[Ledger, LedgerTail]:
    """Close and open again, as a restart does."""
    ledger.close()
    again = open_ledger(ledger.location, cluster_id=CLUSTER, alias=ledger.alias)
    return again, again.load()


def test_an_empty_ledger_recovers_nothing(ledger: Ledger) -> None:
    tail = ledger.load()
    assert tail.frontier == log_tree.Frontier()
    assert tail.applied_sequence == 0
    assert (tail.entries, tail.slots, tail.states) == ((), (), ())
    assert tail.checkpoint is None
    assert ledger.created
    assert ledger.voting


def test_a_null_request_has_no_batch(ledger: Ledger) -> None:
    record = LogWriter().entry(operations=0)
    ledger.append([record])
    assert ledger.entries(1, 1, 1_000) == [record]


def test_r7_the_same_vote_again_is_no_second_row(ledger: Ledger) -> None:
    vote = slot("prepare", 1)
    ledger.append([vote])
    ledger.append([vote, slot("commit", 1)])
    ledger.append([slot("prepare", 2), slot("prepare", 2)])
    assert ledger.load().slots == (vote, slot("commit", 1), slot("prepare", 2))


@pytest.mark.parametrize("phase", ["prepare", "commit", "pre_prepare", "view_change"])
def test_r7_a_second_vote_for_the_same_slot_cannot_be_made(ledger: Ledger, phase: str) -> None:
    ledger.append([slot(phase, 1)])
    with pytest.raises(JournalError, match=f"A second {phase} for sequence 1"):
        ledger.append([slot("prepare", 2), slot(phase, 1, text=b"another digest")])
    assert ledger.load().slots == (slot(phase, 1),)


def test_r7_a_slot_is_that_of_its_epoch_view_sequence_and_phase(ledger: Ledger) -> None:
    """What is written again beside them is known by all four, and by its bytes."""
    first = slot("prepare", 1)
    others = [
        slot("prepare", 1, view=1),
        replace(slot("prepare", 1, text=b"of another epoch"), epoch=1),
        slot("prepare", 2),
        slot("commit", 1),
    ]
    ledger.append([first, *others])
    for _ in range(2):
        ledger.append([first, *others, StateRecord("view", b"\x02")])
    again, tail = reopened(ledger)
    again.close()
    assert set(tail.slots) == {first, *others}
    assert len(tail.slots) == 5


def test_r7_a_proposal_with_another_body_is_another_proposal(ledger: Ledger) -> None:
    ledger.append([slot("pre_prepare", 1, body=b"one")])
    ledger.append([slot("pre_prepare", 1, body=b"one"), slot("prepare", 1)])
    with pytest.raises(JournalError, match="A second pre_prepare"):
        ledger.append([slot("pre_prepare", 1, body=b"two"), slot("commit", 1)])


@pytest.mark.parametrize(
    "other",
    [
        {"state_root": bytes(32)},
        {"state_root": b"\xff" * 32},
        {"log_root": bytes(32)},
        {"log_root": b"\xff" * 32},
        {"timestamp": 1},
        {"epoch": 1},
    ],
)
def test_r24_a_sequence_has_one_checkpoint(ledger: Ledger, other: dict[str, Any]) -> None:
    writer = LogWriter()
    ledger.append([*writer.entries(2), writer.checkpoint()])
    ledger.append([slot("prepare", 3), writer.checkpoint()])
    with pytest.raises(JournalError, match="another checkpoint at sequence 2"):
        ledger.append([replace(writer.checkpoint(), **other)])


def test_nothing_of_a_failed_turn_stays(ledger: Ledger) -> None:
    writer = LogWriter()
    ledger.append([writer.entry()])
    writer.entry()
    skipping = writer.entry()
    with pytest.raises(JournalError, match="does not continue the log, which ends at 1"):
        ledger.append([slot("commit", 9), skipping])
    with pytest.raises(JournalError):
        ledger.append([slot("commit", 10)])
    tail = ledger.load()
    assert tail.slots == ()
    assert len(tail.entries) == 1


def test_an_entry_of_another_history_is_refused(ledger: Ledger) -> None:
    writer = LogWriter()
    ledger.append(writer.entries(2))
    other = LogWriter()
    other.entry(operations=1)
    with pytest.raises(JournalError, match="does not continue"):
        ledger.append([*other.entries(2)[1:]])
    ledger.load()
    with pytest.raises(JournalError, match="another entry for sequence 2"):
        ledger.append([other.records[1]])


def test_an_entry_again_with_other_bytes_of_its_batch_is_refused(ledger: Ledger) -> None:
    """A batch's digest, and so the entry's hash, leaves the clients' signatures out."""
    record = LogWriter().entry()
    ledger.append([record])
    ledger.append([record])
    with pytest.raises(JournalError, match="another entry for sequence 1"):
        ledger.append([replace(record, body=record.body + b"\0")])


def test_a_batch_is_written_once(ledger: Ledger) -> None:
    """With its PRE-PREPARE, carried into a later view, and executed: one row."""
    writer = LogWriter()
    entry = writer.entry(operations=50)
    ledger.append([slot("pre_prepare", 1, body=entry.body)])
    ledger.append([slot("pre_prepare", 1, view=1, body=entry.body)])
    ledger.append([entry])
    assert count(ledger, "ledger_batchbody") == 1
    ledger.append([writer.checkpoint(), Prune(1)])
    assert count(ledger, "ledger_batchbody") == 1
    assert ledger.load().entries == (entry,)


def test_pruning_drops_slots_and_batches_that_nothing_executed(ledger: Ledger) -> None:
    writer = LogWriter()
    entries = writer.entries(2)
    kept = slot("pre_prepare", 3, body=b"still open")
    ledger.append(
        [
            slot("pre_prepare", 1, body=entries[0].body),
            slot("prepared", 1),
            slot("pre_prepare", 2, body=b"lost the view change"),
            slot("pre_prepare", 2, view=1, body=entries[1].body),
            kept,
        ]
    )
    ledger.append(entries)
    ledger.append([writer.checkpoint(), Prune(2)])
    assert ledger.load().slots == (kept,)
    assert count(ledger, "ledger_batchbody") == 3


@pytest.mark.parametrize("phase", SLOT_PHASES)
def test_r24_a_slot_of_each_phase_lasts_until_a_checkpoint_covers_its_sequence(
    ledger: Ledger, phase: str
) -> None:
    covered, later = slot(phase, 2), slot(phase, 3)
    ledger.append([covered, later])
    ledger.append([Prune(1)])
    assert ledger.load().slots == (covered, later)
    ledger.append([Prune(2)])
    assert ledger.load().slots == (later,)


def test_r29_what_binds_a_replica_to_a_view_outlives_checkpoints(ledger: Ledger) -> None:
    binding = [slot("view_change", 0, view=1), slot("new_view", 0, view=1), slot("view", 0, view=1)]
    ledger.append(binding)
    ledger.append([Prune(100)])
    assert ledger.load().slots == tuple(binding)


def test_entries_are_cut_by_bytes_but_never_to_nothing(ledger: Ledger) -> None:
    records = LogWriter().entries(5)
    ledger.append(records)
    assert ledger.entries(2, 4, 1 << 20) == records[1:4]
    assert ledger.entries(2, 9, 1 << 20) == records[1:]
    assert ledger.entries(2, 5, 1) == records[1:2]
    assert ledger.entries(6, 9, 1 << 20) == []


def test_the_lowest_checkpoint_at_or_above(ledger: Ledger) -> None:
    writer = LogWriter()
    checkpoints = []
    for _ in range(3):
        ledger.append(writer.entries(2))
        checkpoints.append(writer.checkpoint())
        ledger.append([checkpoints[-1]])
    assert ledger.checkpoint_from(1) == checkpoints[0]
    assert ledger.checkpoint_from(4) == checkpoints[1]
    assert ledger.checkpoint_from(5) == checkpoints[2]
    assert ledger.checkpoint_from(7) is None


def count(ledger: Ledger, table: str) -> int:
    from django.db import connections

    with connections[ledger.alias].cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
        return int(cursor.fetchone()[0])
