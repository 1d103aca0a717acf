"""A full disk ends a turn, not the ledger: it goes on by itself once there is room (PROTOCOL R8)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dtvn.ledger import Location
from dtvn.protocol.host.ports import JournalError, JournalFull
from tests.disks import fill, mounted
from tests.ledger.samples import CLUSTER, START, LogWriter, slot, ticket
from tests.ledger.test_materialise import change
from tests.waiting import wait_until
from validators.ledger import Ledger, open_ledger, sqlite
from validators.ledger.sqlite import SqliteStore

ALIAS = "ledger-under-test"
DISK_BYTES = 4 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, DISK_BYTES):
        yield folder


def test_r8_a_ledger_continues_once_a_full_disk_has_room(small_disk: Path) -> None:
    ledger = open_ledger(small_disk / "ledger", cluster_id=CLUSTER, alias=ALIAS)
    writer = LogWriter()
    ledger.load()
    ledger.append([*writer.entries(3), slot("prepare", 4)])
    ledger.materialise([change(ticket("T-1"))], 2, START)
    filler = fill(small_disk)
    lost = writer.entry(operations=1_000)
    with pytest.raises(JournalFull):
        ledger.append([lost])
    with pytest.raises(JournalError):
        ledger.append([slot("prepare", 5)])
    assert not ledger.takes_writes()
    assert ledger.load().frontier.size == 3, "it can still be read"
    with pytest.raises(JournalFull):
        ledger.materialise([change(ticket(f"T-{number}")) for number in range(3_000)], 3, START)
    filler.unlink()
    assert ledger.takes_writes()
    tail = ledger.load()
    assert (tail.frontier.size, tail.applied_sequence) == (3, 2)
    assert tail.slots == (slot("prepare", 4),)
    ledger.append([lost])
    ledger.materialise([change(ticket("T-2"))], 4, START)
    ledger.close()
    again = open_ledger(small_disk / "ledger", cluster_id=CLUSTER, alias=ALIAS)
    tail = again.load()
    assert again.voting
    assert (tail.frontier.size, tail.applied_sequence) == (4, 4)
    again.close()


def _is_copied(store: SqliteStore) -> bool:
    """Whether the database file has all that is in the log's, which is then written from its begin again."""
    with closing(sqlite3.connect(store._path)) as connection:
        busy, pages, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return not busy and pages == copied


@pytest.mark.parametrize("since_copied", [0, 200])
def test_r8_a_disk_that_fills_up_denies_no_committed_rows(small_disk: Path, since_copied: int) -> None:
    """The rows fit into the log's file, but copying them to the database file would make that longer.
    `since_copied`: operations written after the last copy, which have to be copied too."""
    ledger = open_ledger(small_disk / "ledger", cluster_id=CLUSTER, alias=ALIAS)
    store, writer = ledger._store, LogWriter()
    assert isinstance(store, SqliteStore)
    ledger.load()
    ledger.append([writer.entry(operations=2_000), writer.entry()])
    ledger.maintain()
    wait_until(lambda: _is_copied(store), what="the whole log is copied")
    filler = fill(small_disk)
    if since_copied:
        ledger.append([writer.entry(operations=since_copied)])
    failed = False
    try:
        ledger.materialise([change(ticket(f"T-{number}")) for number in range(200)], 2, START)
    except JournalFull:
        failed = True
    filler.unlink()
    applied = ledger.load().applied_sequence
    ledger.close()
    again = open_ledger(small_disk / "ledger", cluster_id=CLUSTER, alias=ALIAS)
    assert again.load().applied_sequence == applied == (0 if failed else 2)
    again.close()
    # Whether the copy is made within this call depends on when another thread looked last; the rows are then
    # refused as a whole.
    assert since_copied or not failed


def test_r8_a_file_at_its_size_limit_fails_the_turn_only(sqlite_ledger: Ledger) -> None:
    """SQLite's own limit gives the same error (SQLITE_FULL) without a file system of ours."""
    connection = sqlite_ledger._store._connection  # type: ignore[attr-defined]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages + 2}")
    writer = LogWriter()
    record = writer.entry(operations=500)
    with pytest.raises(JournalFull):
        sqlite_ledger.append([slot("prepare", 1), record])
    connection.execute("PRAGMA max_page_count=1000000")
    assert sqlite_ledger.takes_writes()
    assert sqlite_ledger.load().slots == ()
    sqlite_ledger.append([slot("prepare", 1), record])
    assert sqlite_ledger.load().entries == (record,)


def test_r8_a_disk_that_takes_only_a_part_of_the_probe_is_still_full(
    sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AlmostFull:
        """The calls of a system whose disk has room for a few blocks."""

        def write(self, descriptor: int, content: bytes) -> int:
            return os.write(descriptor, content[:4_096])

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    with monkeypatch.context() as context:
        context.setattr(sqlite, "os", AlmostFull())
        assert not sqlite_ledger.takes_writes()
    assert sqlite_ledger.takes_writes()


def test_r8_a_full_server_fails_the_turn_only(postgres_place: Location) -> None:
    """PostgreSQL's own error for a full disk (53100), raised by a trigger as the server would."""
    ledger = open_ledger(postgres_place, cluster_id=CLUSTER, alias=ALIAS)
    try:
        ledger.load()
        ledger._store.define(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
        )
        for table in ("protocolrecord", "ledgermeta"):
            ledger._store.define(
                f"CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON ledger_{table}"
                " FOR EACH ROW EXECUTE FUNCTION no_room()"
            )
        with pytest.raises(JournalFull, match="could not extend file"):
            ledger.append([slot("prepare", 1)])
        assert not ledger.takes_writes()
        ledger._store.define("DROP FUNCTION no_room() CASCADE")
        assert ledger.takes_writes()
        assert ledger.load().slots == ()
        ledger.append([slot("prepare", 1)])
        assert ledger.load().slots == (slot("prepare", 1),)
    finally:
        ledger.close()
