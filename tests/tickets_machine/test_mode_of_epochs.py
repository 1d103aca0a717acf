"""Epochs in the replicated state keep the mode of their cluster, those of PBFT their bytes (R35, R44)."""

from __future__ import annotations

import pytest

from dtvn.machine import TicketApplication
from dtvn.machine.rows import change_from
from dtvn.protocol import canonical
from dtvn.protocol.quorum import Mode
from tests.proof.support import PaperLog


@pytest.mark.parametrize("mode", Mode)
def test_r44_a_change_of_members_and_a_recovery_keep_the_mode(mode: Mode) -> None:
    log = PaperLog(5, mode=mode)
    log.change(leaves="r1")
    log.recover()
    epochs = [log.application.epoch(number) for number in range(3)]
    assert [each and each.mode for each in epochs] == [mode] * 3


@pytest.mark.parametrize(("mode", "fields"), [(Mode.PBFT, 4), (Mode.RAFT, 5)])
def test_r44_rows_are_read_back_and_give_the_same_root(mode: Mode, fields: int) -> None:
    """As a node does after a restart."""
    log = PaperLog(5, mode=mode)
    log.change(joins="r5")
    rows = []
    for change in log.application.changes():
        if change.table == "ticket":
            continue
        row = canonical.encode_trimmed(change.row)
        if change.table == "membership":
            assert row[0] == 0x90 + fields
        rows.append(change_from(change.table, canonical.encode(change.key), row))
    again = TicketApplication(log.genesis, log.cluster, searched=True)
    again.load(rows)
    assert again.root() == log.application.root()
    assert again.membership() == log.application.membership()
    assert again.membership().mode is mode
