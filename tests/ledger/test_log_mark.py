"""From which mark a start goes on to read the log, and which marks are damage."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtvn.ledger import LedgerDamaged
from dtvn.protocol import canonical
from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.consensus.ledger_tail import Base
from tests.ledger.samples import LogWriter
from validators.ledger import log_mark
from validators.ledger.log_mark import LogMark, beginning


def marks(writer: LogWriter, *sequences: int) -> list[StateRecord]:
    """Marks as they are stored, each after so many entries; another state stands between them."""
    found = [StateRecord("voting", b"1")]
    for sequence in sequences:
        frontier = log_tree.Frontier()
        for record in writer.records[:sequence]:
            frontier = log_tree.append(frontier, record.entry_hash)
        made = LogMark.of(frontier, writer.records[sequence - 1].entry_hash)
        found.append(StateRecord(log_mark.NAME, canonical.encode(made)))
    return found


@pytest.fixture
def writer() -> LogWriter:
    made = LogWriter()
    made.entries(12)
    return made


def stable(sequence: int) -> Any:
    return SimpleNamespace(sequence=sequence)


def test_an_installed_state_is_a_mark_too(writer: LogWriter) -> None:
    before = log_tree.Frontier()
    for record in writer.records[:6]:
        before = log_tree.append(before, record.entry_hash)
    base = cast(Base, SimpleNamespace(entry=writer.records[6].entry, before=before))
    found = beginning(12, stable(12), base, marks(writer, 5))
    assert (found.sequence, found.frontier) == (7, log_tree.append(before, writer.records[6].entry_hash))
    assert beginning(6, stable(12), base, marks(writer, 5)).sequence == 5
    assert beginning(12, stable(12), base, marks(writer, 9)).sequence == 9


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"\xff", "its mark of the log cannot be read: "),
        (canonical.encode(LogMark(sequence=5)), "its mark of the log has 0 peaks for 5 entries"),
    ],
)
def test_a_malformed_mark_is_damage(value: bytes, said: str) -> None:
    with pytest.raises(LedgerDamaged, match=said):
        beginning(12, stable(12), None, [StateRecord(log_mark.NAME, value)])
