"""Upkeep between turns: SQLite's write-ahead log stays bounded (PROTOCOL R25), a lost server is noticed."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import psycopg
import pytest

from benchmarks.cost import memory_mb
from dtvn.ledger import Location
from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.host.ports import JournalError
from tests.ledger.samples import CLUSTER, START, slot
from tests.waiting import wait_until
from validators.ledger import Ledger, open_ledger
from validators.ledger.sqlite import CHECKPOINT_EVERY, SqliteStore
from validators.ledger.wal_checkpointer import WalCheckpointer

BODY = 1024 * 1024


def write_until_copied(ledger: Ledger, first: int) -> int:
    """Append slots until a copy in the background has ended; the next free sequence."""
    store = ledger._store
    assert isinstance(store, SqliteStore)
    checkpointer = store._checkpointer
    sequence = first
    for _ in range(CHECKPOINT_EVERY // BODY + 2):
        ledger.append([slot("pre_prepare", sequence, body=os.urandom(BODY))])
        sequence += 1
    wait_until(lambda: checkpointer._done, what="the log is copied")
    ledger.materialise([], 0, START)
    return sequence


def log_size(ledger: Ledger) -> int:
    return Path(f"{ledger.location.database_file}-wal").stat().st_size


def test_r25_the_log_is_filled_from_its_beginning_again(sqlite_ledger: Ledger) -> None:
    sequence = write_until_copied(sqlite_ledger, 1)
    size = log_size(sqlite_ledger)
    for _ in range(3):
        sequence = write_until_copied(sqlite_ledger, sequence)
    assert log_size(sqlite_ledger) <= size + 2 * BODY


def test_r25_an_open_reader_delays_no_turn(sqlite_ledger: Ledger) -> None:
    """An open read transaction makes the log grow, never wait; afterwards the log shrinks again."""
    sequence = write_until_copied(sqlite_ledger, 1)
    reader = sqlite3.connect(sqlite_ledger.location.database_file, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM ledger_protocolrecord").fetchone()
    sequence = write_until_copied(sqlite_ledger, sequence)
    grown = log_size(sqlite_ledger)
    reader.execute("COMMIT")
    reader.close()
    for _ in range(3):
        sequence = write_until_copied(sqlite_ledger, sequence)
    assert log_size(sqlite_ledger) <= grown + (CHECKPOINT_EVERY + 4 * BODY)
    assert len(sqlite_ledger.load().slots) == sequence - 1


def test_r25_a_ledger_keeps_few_of_its_pages_in_memory(sqlite_ledger: Ledger) -> None:
    """A lone operation writes a kilobyte of pages, which are never read again: the page cache takes all of
    them until it is full."""
    sqlite_ledger.append([StateRecord("value", os.urandom(BODY))], durable=False)
    before = memory_mb([os.getpid()])
    for number in range(24):
        sqlite_ledger.append([StateRecord(f"value {number}", os.urandom(BODY))], durable=False)
    grown = memory_mb([os.getpid()]) - before
    assert grown < 12


def test_r8_a_disk_that_failed_under_a_copy_ends_the_ledger(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    """A second attempt would look like success, though the pages may be gone."""
    store = sqlite_ledger._store
    assert isinstance(store, SqliteStore)
    store._checkpointer.close()
    store._checkpointer = WalCheckpointer(tmp_path / "gone" / "ledger.sqlite3")
    sqlite_ledger.append([slot("prepare", 1)])
    sqlite_ledger.maintain()
    wait_until(lambda: store._checkpointer._failure, what="the copy fails")
    with pytest.raises(JournalError, match="could not copy the ledger's log"):
        sqlite_ledger.append([slot("prepare", 2)])


def test_an_idle_ledger_notices_that_its_server_is_gone(postgres_place: Location) -> None:
    """An idle node writes nothing: it went on as if it could vote."""
    ledger = open_ledger(postgres_place, cluster_id=CLUSTER, alias="ledger-under-test")
    try:
        ledger.load()
        ledger.maintain()
        [(own,)] = ledger._store.rows("SELECT pg_backend_pid()")
        with psycopg.connect(postgres_place.url, autocommit=True) as server:
            server.execute("SELECT pg_terminate_backend(%s)", (own,))

        def lost() -> bool:
            try:
                ledger.maintain()
            except JournalError:
                return True
            return False

        wait_until(lost, what="the lost connection is noticed")
        assert lost(), "and again"
    finally:
        ledger.close()
