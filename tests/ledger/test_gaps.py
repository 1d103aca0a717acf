"""The log below an installed state is found missing, filled, served again and checked at the next start."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from dtvn.ledger import LedgerDamaged, Location
from dtvn.protocol.consensus.effects import EntryRecord
from dtvn.protocol.consensus.ledger_tail import Base, Gap
from dtvn.protocol.host.ports import JournalError
from tests.ledger.samples import CLUSTER, LogWriter
from tests.ledger.test_install import behind, snapshot_of
from validators.ledger import Ledger, gaps, open_ledger

MIB = 1 << 20


def bare(records: list[EntryRecord]) -> list[EntryRecord]:
    return [msgspec.structs.replace(record, commits=()) for record in records]


def installed(ledger: Ledger, entries: int = 3) -> LogWriter:
    """A ledger with `entries`, a state of 20, and two entries above it."""
    writer = LogWriter()
    behind(ledger, writer, entries)
    ledger.install(snapshot_of(writer))
    ledger.load()
    ledger.append(writer.entries(2))
    return writer


def checked(ledger: Ledger) -> None:
    """Everything is read back and checked, as a start and the work beside it do."""
    ledger.load(whole=True)
    ledger.load()
    while not ledger.check_older():
        pass


def test_a_log_that_is_whole_has_no_gap(ledger: Ledger) -> None:
    ledger.load()
    ledger.append(LogWriter().entries(3))
    assert ledger.gap(100).first > ledger.gap(100).last


def test_a_gap_is_filled_in_pieces_from_above_and_served(ledger: Ledger, place: Location) -> None:
    writer = installed(ledger)
    log = writer.records
    assert ledger.gap(21) == Gap(4, 20, log[19].entry_hash)
    ledger.fill(bare(log[14:20]))
    checked(ledger)
    assert ledger.gap(21) == Gap(4, 14, log[13].entry_hash)
    assert list(ledger.entries(15, 30, MIB)) == [*bare(log[14:20]), *log[20:]]
    ledger.fill(bare(log[3:14]))
    checked(ledger)
    assert list(ledger.entries(1, 30, MIB)) == [*log[:3], *bare(log[3:20]), *log[20:]]
    found = ledger.gap(21)
    assert found == Gap(1, 0)
    found_tail = ledger.load()
    assert found_tail.frontier == writer.frontier
    ledger.append([writer.entry()])
    ledger.close()
    again = open_ledger(place, cluster_id=CLUSTER, alias="ledger-again")
    try:
        checked(again)
        assert again.load().frontier == writer.frontier
        assert list(again.entries(4, 4, MIB)) == bare(log[3:4])
    finally:
        again.close()


def test_a_wiped_ledger_is_filled_down_to_its_first_entry_and_takes_further_states(ledger: Ledger) -> None:
    writer = LogWriter()
    behind(ledger, writer, 0)
    ledger.install(snapshot_of(writer))
    ledger.load()
    ledger.fill(bare(writer.records[10:20]))
    writer.entries(10)
    ledger.install(snapshot_of(writer))
    checked(ledger)
    assert ledger.gap(31) == Gap(21, 30, writer.records[29].entry_hash)
    ledger.fill(bare(writer.records[20:30]))
    assert ledger.gap(31) == Gap(1, 10, writer.records[9].entry_hash)
    ledger.fill(bare(writer.records[:10]))
    checked(ledger)
    assert list(ledger.entries(1, 30, MIB)) == bare(writer.records)


def test_a_long_log_is_searched_a_little_at_a_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "LOOKED_AT", 5)
    writer = installed(ledger)
    ledger.fill(bare(writer.records[8:20]))
    below, looks = 21, 0
    while (found := ledger.gap(below)).first > found.last:
        below, looks = found.first, looks + 1
    assert (found, looks) == (Gap(4, 8, writer.records[7].entry_hash), 2)


def test_what_does_not_continue_the_chain_is_noticed_at_the_next_start(ledger: Ledger) -> None:
    installed(ledger)
    other = LogWriter()
    other.entry(3)
    other.entries(19)
    ledger.fill(bare(other.records[10:20]))
    with pytest.raises(LedgerDamaged):
        ledger.load(whole=True)


def test_an_entry_that_is_there_is_not_filled_again(ledger: Ledger) -> None:
    writer = installed(ledger)
    with pytest.raises(JournalError):
        ledger.fill(bare(writer.records[2:5]))
    ledger.load()
    assert ledger.gap(21).first == 4


def test_an_entry_behind_a_gap_that_is_missing_now_is_damage(ledger: Ledger) -> None:
    """What the gap's last entry hashes to is read from the entry above it."""
    writer = installed(ledger)
    base = cast(Base, SimpleNamespace(entry=writer.records[19].entry))
    assert gaps._gap(ledger._store, base, 4, 20) == Gap(4, 20, writer.records[19].entry_hash)
    assert gaps._gap(ledger._store, base, 1, 1) == Gap(1, 1, writer.records[0].entry_hash)
    with pytest.raises(LedgerDamaged, match="it was read before and is missing"):
        gaps._gap(ledger._store, base, 4, 9)
