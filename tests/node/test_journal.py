"""The voted stamp is durable before the first vote is (R11), and writes are measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dtvn.node.journal import NodeJournal
from dtvn.node.keys import VotedStamp
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    Install,
    Record,
    SlotRecord,
    StateRecord,
)
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


class Installing:
    """A ledger's place for a state: notes how often its rows are read back."""

    def __init__(self) -> None:
        self.written: list[ApplicationChange] = []
        self.read = 0

    def install(self, install: Install) -> None:
        self.written = list(install.rows())

    def load(self) -> LedgerTail:
        return LedgerTail(Frontier(), 10, self._rows(), (), (), None, ())

    def _rows(self) -> Iterator[ApplicationChange]:
        self.read += 1
        yield from self.written


def test_a_state_that_was_just_installed_is_not_read_back() -> None:
    """The groups that were proved are what was written. Only the first load after it is spared."""
    stored, kept = (ApplicationChange("ticket", (form,), None) for form in ("stored", "kept"))
    checkpoint = CheckpointRecord(0, 10, b"", b"", 1, ())
    entry = m.Entry(0, 10, b"", b"", 1, b"")
    below = Installing()
    journal = NodeJournal(below, None)  # type: ignore[arg-type]
    journal.install(Install(checkpoint, entry, (), lambda: [stored], lambda: [kept]))
    assert below.written == [stored]
    assert list(journal.load().rows) == [kept]
    assert below.read == 0
    assert list(journal.load().rows) == [stored]
    journal.install(Install(checkpoint, entry, (), lambda: [stored]))
    assert list(journal.load().rows) == [stored]
    assert below.read == 1, "not read either"
