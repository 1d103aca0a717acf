"""A snapshot replaces the state in one transaction; the log goes on behind it (P17)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtvn.ledger import SNAPSHOT_BASE, LedgerDamaged, Location
from dtvn.machine.rows import SessionRow
from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus.effects import ApplicationChange, Install, StateRecord
from dtvn.protocol.consensus.messages import Entry
from dtvn.protocol.host.ports import JournalError, JournalFull
from tests.disks import fill
from tests.ledger.children import end_now, reopen_when_free, run_in_child
from tests.ledger.samples import CLUSTER, START, LogWriter, packed, slot, ticket
from tests.ledger.test_full_disk import small_disk
from tests.ledger.test_materialise import change
from validators.ledger import Ledger, open_ledger, read

__all__ = ["small_disk"]
ALIAS = "ledger-installing"
MANY = 9_000
"""Tickets of a snapshot: more than one chunk of statements."""


def session() -> ApplicationChange:
    return ApplicationChange("session", (4, 0), SessionRow("gateway", 3, 9, 0))


def snapshot_of(writer: LogWriter, tickets: int = 3) -> Install:
    """The state after the writer's newest entry."""
    before = log_tree.Frontier()
    for record in writer.records[:-1]:
        before = log_tree.append(before, record.entry_hash)
    rows = [session(), *(packed(number) for number in range(1, tickets + 1))]
    return Install(writer.checkpoint(), writer.records[-1].entry, before.peaks, lambda: rows)


def behind(ledger: Ledger, writer: LogWriter, entries: int = 3) -> None:
    """A ledger that ends here, with votes and rows of its own, while the cluster went on to 20."""
    ledger.load()
    records = writer.entries(entries)
    ledger.append([*records, slot("prepare", 4), slot("prepare", 25), StateRecord("voting", b"1")])
    ledger.materialise([change(ticket("OLD"))], entries, START)
    writer.entries(20 - entries)


@pytest.mark.parametrize("entries", [0, 3], ids=["wiped", "far behind"])
def test_p17_a_snapshot_replaces_the_state_and_the_log_goes_on_behind_it(
    ledger: Ledger, entries: int
) -> None:
    writer = LogWriter()
    behind(ledger, writer, entries)
    install = snapshot_of(writer)
    ledger.install(install)
    found = ledger.load()
    rows = {(row.table, row.key): row for row in found.rows}
    assert rows == {(row.table, row.key): row for row in install.rows()}
    assert (found.applied_sequence, found.checkpoint) == (20, install.checkpoint)
    assert (found.entries, found.frontier) == ((), writer.frontier)
    assert found.base is not None
    assert found.base.entry == writer.records[-1].entry
    assert [record.sequence for record in found.slots] == [25], "what binds above it stays"
    following = writer.entry()
    ledger.append([following])
    assert ledger.load().entries == (following,)
    assert ledger.load().frontier == writer.frontier
    assert list(ledger.entries(1, 100, 1 << 20)) == writer.records[:entries]
    assert list(ledger.entries(entries + 1, 100, 1 << 20)) == []
    assert list(ledger.entries(20, 100, 1 << 20)) == []
    assert list(ledger.entries(21, 100, 1 << 20)) == [following]


def test_a_second_snapshot_follows_the_first(ledger: Ledger) -> None:
    writer = LogWriter()
    behind(ledger, writer)
    ledger.install(snapshot_of(writer))
    ledger.load()
    ledger.append(writer.entries(2))
    older = snapshot_of(copy.deepcopy(writer))
    with pytest.raises(JournalError, match="older"):
        ledger.install(older)
    ledger.load()
    writer.entries(10)
    ledger.install(snapshot_of(writer, tickets=1))
    found = ledger.load()
    assert (found.applied_sequence, found.frontier) == (32, writer.frontier)
    assert len(list(found.rows)) == 2


class Interrupted(Exception):
    """The state could not be read to its end."""


def broken(install: Install) -> Install:
    def rows() -> Iterator[ApplicationChange]:
        yield from list(install.rows())[:-1]
        raise Interrupted

    return Install(install.checkpoint, install.entry, install.peaks, rows)


def test_p17_an_install_that_fails_midway_leaves_the_old_state(ledger: Ledger) -> None:
    writer = LogWriter()
    behind(ledger, writer)
    before = ledger.load()
    rows = list(before.rows)
    with pytest.raises(Interrupted):
        ledger.install(broken(snapshot_of(writer, MANY)))
    after = ledger.load()
    assert list(after.rows) == rows
    assert (after.entries, after.slots, after.base) == (before.entries, before.slots, None)
    ledger.install(snapshot_of(writer))
    assert ledger.load().applied_sequence == 20


@pytest.mark.parametrize("count", [1, 2, 4, 7, 9, 11, 13])
def test_p17_an_install_killed_in_the_middle_is_whole_or_absent(sqlite_place: Location, count: int) -> None:
    writer = LogWriter()

    def work() -> None:
        ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias=ALIAS)
        behind(ledger, writer)
        left = [count]

        def on_statement(_text: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                end_now()

        ledger._store._connection.set_trace_callback(on_statement)  # type: ignore[attr-defined]
        ledger.install(snapshot_of(writer, 2))

    run_in_child(work)
    ledger = reopen_when_free(sqlite_place)
    try:
        found = ledger.load()
        rows = list(found.rows)
        if found.base is None:
            assert (found.applied_sequence, len(found.entries)) == (3, 3)
            assert [row.row.ticket for row in rows] == ["OLD"]
        else:
            assert found.applied_sequence == 20
            assert sorted(row.table for row in rows) == ["session", "ticket", "ticket"]
    finally:
        ledger.close()


def test_p17_an_install_that_fills_the_disk_leaves_the_old_state(small_disk: Path) -> None:
    ledger = open_ledger(small_disk / "ledger", cluster_id=CLUSTER, alias=ALIAS)
    try:
        writer = LogWriter()
        behind(ledger, writer)
        filler = fill(small_disk)
        with pytest.raises(JournalFull):
            ledger.install(snapshot_of(writer, MANY))
        filler.unlink()
        assert ledger.takes_writes()
        found = ledger.load()
        assert found.base is None
        assert [row.row.ticket for row in found.rows] == ["OLD"]
        ledger.install(snapshot_of(writer, 2))
        assert ledger.load().applied_sequence == 20
    finally:
        ledger.close()


def test_a_base_that_is_not_the_checkpoints_log_is_noticed_at_start(ledger: Ledger) -> None:
    writer = LogWriter()
    behind(ledger, writer)
    install = snapshot_of(writer)
    entry = install.entry
    other = Entry(0, 20, entry.batch_digest, bytes(32), entry.timestamp, entry.previous)
    ledger.install(Install(install.checkpoint, other, install.peaks, install.rows))
    with pytest.raises(LedgerDamaged, match="root"):
        ledger.load()
    assert SNAPSHOT_BASE == "snapshot_base", "a name on disk: never changed"


def test_r11_an_indexed_copy_begins_with_rows_and_their_counters(ledger: Ledger) -> None:
    """The learner of a cluster that continues another one: columns and counts, as if it had executed them."""
    writer = LogWriter()
    writer.entries(10)
    before = snapshot_of(writer)
    changes = [change(ticket(f"T-{number}")) for number in range(5)]
    rows = [*changes, change(ticket("T-9", state="CONSUMED"))]
    ledger.install(Install(before.checkpoint, before.entry, before.peaks, lambda: rows))
    found = ledger.load()
    assert list(found.rows) == rows
    counted = read.count_tickets(ledger.alias)
    assert (counted[rows[0].row.state], counted["CONSUMED"]) == (5, 1)
    ledger.materialise([change(ticket("T-1", state="CONSUMED"))], 10, START)
    counted = read.count_tickets(ledger.alias)
    assert (counted[rows[0].row.state], counted["CONSUMED"]) == (4, 2)
