"""The voted stamp is durable before the first vote is (R11), and writes are measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dtvn.node.journal import NodeJournal
from dtvn.node.keys import VotedStamp
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record, SlotRecord, StateRecord
from dtvn.protocol.consensus.log_tree import Frontier
from dtvn.protocol.host.ports import JournalError, LedgerTail
from tests.host.support import Paper

VOTE = SlotRecord(epoch=0, view=0, sequence=1, phase="prepare", frames=(b"frame",))


class Below:
    """A ledger's place: notes whether the stamp was there when something was written."""

    def __init__(self, identity: Path) -> None:
        self.identity = identity
        self.stamped: list[bool] = []

    def append(self, records: Sequence[Record], *, durable: bool = True) -> None:
        self.stamped.append((self.identity / "voted").exists())

    def materialise(self, changes: Sequence[object], sequence: int, timestamp: int) -> None:
        """Nothing to note."""


def test_r11_the_voted_stamp_is_written_just_before_the_first_vote(tmp_path: Path) -> None:
    below = Below(tmp_path)
    journal = NodeJournal(below, VotedStamp(tmp_path))  # type: ignore[arg-type]
    journal.append([StateRecord("x", b"")])
    journal.append([StateRecord("x", b""), VOTE])
    journal.append([VOTE])
    assert below.stamped == [False, True, True]


def test_r11_without_a_stamp_no_vote_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    below = Below(tmp_path)
    journal = NodeJournal(below, VotedStamp(tmp_path))  # type: ignore[arg-type]
    monkeypatch.setattr("dtvn.node.keys.write_private", full)
    with pytest.raises(JournalError, match="No space left"):
        journal.append([VOTE])
    assert below.stamped == []


def test_a_process_that_never_votes_makes_no_stamp(tmp_path: Path) -> None:
    below = Below(tmp_path)
    NodeJournal(below, None).append([VOTE])  # type: ignore[arg-type]
    assert below.stamped == [False]


def test_writes_are_measured(tmp_path: Path) -> None:
    journal = NodeJournal(Below(tmp_path), None)  # type: ignore[arg-type]
    journal.append([VOTE])
    journal.append([VOTE])
    meter = journal.meter
    assert meter.turns == 2
    assert 0 < meter.turn_time_max <= meter.turn_time


class Holding:
    """A ledger with these slots."""

    def __init__(self, *slots: SlotRecord) -> None:
        self.slots = slots

    def load(self) -> LedgerTail:
        return LedgerTail(Frontier(), 0, (), (), self.slots, None, (), None)


@pytest.mark.parametrize("phase", ["prepare", "commit", "checkpoint", "view_change"])
def test_r11_a_ledger_with_votes_of_another_member_is_refused(phase: str) -> None:
    paper = Paper()
    said = {
        "prepare": m.Prepare(0, 1, 0, 1, b"d" * 32),
        "commit": m.Commit(0, 1, 0, 1, b"d" * 32),
        "checkpoint": m.Checkpoint(0, 1, 1, b"s" * 32, b"l" * 32, 1),
        "view_change": m.ViewChange(0, 1, 1, (), ()),
    }[phase]
    record = SlotRecord(0, 0, 1, phase, (paper.sign(said),))
    others = SlotRecord(0, 0, 1, "pre_prepare", (paper.sign(m.PrePrepare(0, 0, 0, 1, b"d" * 32)),))
    journal = NodeJournal(Holding(others, record), None)  # type: ignore[arg-type]
    journal.load()
    journal.owner = (0, 1)
    journal.load()
    journal.owner = (1, 2)
    journal.load()
    journal.owner = (0, 2)
    with pytest.raises(JournalError, match="holds votes of member 1, and this is member 2"):
        journal.load()
