"""The voted stamp is durable before the first vote is (R11), and writes are measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from validators.consensus.effects import Record, SlotRecord, StateRecord
from validators.node.journal import NodeJournal
from validators.node.keys import VotedStamp
from validators.ports import JournalError

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


def test_r11_the_stamp_is_there_before_the_first_vote_and_not_earlier(tmp_path: Path) -> None:
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
    monkeypatch.setattr("validators.node.keys.write_private", full)
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
    journal.materialise([], 1, 1)
    meter = journal.meter
    assert (meter.turns, meter.row_writes) == (2, 1)
    assert 0 < meter.turn_time_max <= meter.turn_time
