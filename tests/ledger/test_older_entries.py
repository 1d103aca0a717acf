"""A start reads the log after its mark; older entries are checked between two turns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.ledger import LedgerDamaged, Location
from dtvn.protocol.host.ports import JournalError
from tests.ledger.samples import CLUSTER, START, LogWriter, executed, slot
from tests.ledger.test_install import snapshot_of
from tests.waiting import wait_until
from validators.ledger import Ledger, log_mark, log_reading, older_entries, open_ledger
from validators.ledger.structure_check import StructureCheck

ALIAS = "ledger-under-test"
KEPT, AT_ONCE, DISTANCE = 4, 8, 5
ENTRIES, STABLE = 40, 30
"""Sequences of the newest entry, up to which the rows are written, and of the newest stable checkpoint."""
MARK = STABLE // 2
"""Sequence of the checkpoint before it, and of the mark that is stored with the newest."""


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "ENTRIES_KEPT", KEPT)
    monkeypatch.setattr(older_entries, "ENTRIES_AT_ONCE", AT_ONCE)
    monkeypatch.setattr(log_mark, "DISTANCE", DISTANCE)


def opened(place: Location) -> Ledger:
    return open_ledger(place, cluster_id=CLUSTER, alias=ALIAS)


def write(ledger: Ledger, writer: LogWriter, entries: int, stable: int) -> None:
    """Entries with their outcomes, and two checkpoints, the newest at `stable`."""
    for sequence in range(len(writer.records) + 1, entries + 1):
        record = writer.entry()
        ledger.append([record])
        ledger.notice(executed(record, ["ok", "ok"]))
        if sequence in (stable // 2, stable):
            ledger.append([writer.checkpoint()])
    ledger.materialise([], entries, START)


@pytest.fixture
def filled(place: Location) -> Location:
    ledger = opened(place)
    ledger.load()
    write(ledger, LogWriter(), ENTRIES, STABLE)
    ledger.close()
    return place


@pytest.fixture
def again(filled: Location) -> Iterator[Ledger]:
    """The filled ledger, opened anew and not loaded."""
    ledger = opened(filled)
    yield ledger
    ledger.close()


def watch_contents(ledger: Ledger) -> list[int]:
    """The sequences whose content is read from now on, in order."""
    seen: list[int] = []
    stream = ledger._store.stream

    def watched(sql: str, parameters: Any = ()) -> Iterator[tuple[Any, ...]]:
        for row in stream(sql, parameters):
            if "ledger_batchbody" in sql and "ledger_protocolrecord" not in sql:
                seen.append(row[0])
            yield row

    ledger._store.stream = watched  # type: ignore[method-assign]
    return seen


def damage(ledger: Ledger, table: str, column: str, sequence: int, value: int = 1) -> None:
    ledger._store.define(f"UPDATE ledger_{table} SET {column} = {value} WHERE sequence = {sequence}")  # noqa: S608


def check_all(ledger: Ledger) -> None:
    wait_until(ledger.check_older, what="all is checked")


def test_a_call_checks_a_bounded_number_of_older_entries(again: Ledger) -> None:
    again.load()
    read = watch_contents(again)
    done, before = False, 0
    while not done:
        done = again.check_older()
        assert len(read) <= before + AT_ONCE
        before = len(read)
    assert read == list(range(1, MARK + 1)), "each once"


def test_a_call_reads_bounded_bytes_of_batches(again: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(older_entries, "BYTES_AT_ONCE", 1)
    again.load()
    read = watch_contents(again)
    for sequence in range(1, 4):
        again.check_older()
        assert read == list(range(1, sequence + 1))
    again.append([slot("prepare", ENTRIES + 1)])
    check_all(again)
    assert read == list(range(1, MARK + 1))


def contents_read(place: Location) -> list[int]:
    """The sequences whose content a start reads."""
    ledger = opened(place)
    read = watch_contents(ledger)
    ledger.load()
    ledger.close()
    return read


@pytest.mark.parametrize("field", ["entry_hash", "peaks"])
def test_a_mark_that_the_checkpoint_does_not_prove_is_not_used(again: Ledger, field: str) -> None:
    writer = LogWriter()
    writer.entries(MARK)
    wrong = {"entry_hash": bytes(32), "peaks": (bytes(32),) * len(writer.frontier.peaks)}[field]
    mark = log_mark.LogMark.of(writer.frontier, writer.records[-1].entry_hash)
    assert again.state_value(log_mark.NAME) == mark.record.value
    again.load()
    again.append([replace(mark, **{field: wrong}).record])
    again.close()
    read = contents_read(again.location)
    assert read[0] == MARK + 1
    assert read[-ENTRIES:] == list(range(1, ENTRIES + 1)), "then the whole log"


@pytest.mark.parametrize("wrong", [False, True])
def test_older_entries_lead_to_the_hash_of_the_mark(again: Ledger, *, wrong: bool) -> None:
    """Entries that fit each other, and are not those that the newest stable checkpoint signs."""
    again.load()
    writer = LogWriter()
    writer.entries(MARK)
    mark = log_mark.LogMark.of(writer.frontier, writer.records[-1].entry_hash)
    older = older_entries.OlderEntries(replace(mark, entry_hash=bytes(32)) if wrong else mark, None)

    def check() -> None:
        while not older.done:
            older.check_some(again._store)

    if wrong:
        with pytest.raises(LedgerDamaged, match=f"it is not the entry before {MARK + 1}"):
            check()
    else:
        check()


def test_an_older_checkpoint_is_checked_beside_the_work(again: Ledger) -> None:
    damage(again, "checkpoint", "timestamp", MARK)
    again.load()
    with pytest.raises(LedgerDamaged, match=f"the checkpoint at sequence {MARK} differs"):
        check_all(again)


@pytest.mark.parametrize("damaged", [0, 2, 25])
def test_a_log_with_a_snapshot_is_checked_on_both_sides(place: Location, damaged: int) -> None:
    ledger = opened(place)
    ledger.load()
    writer = LogWriter()
    write(ledger, writer, 3, 2)
    writer.entries(17)
    ledger.install(snapshot_of(writer))
    ledger.load()
    write(ledger, writer, 60, 50)
    ledger.close()
    ledger = opened(place)
    try:
        if damaged:
            damage(ledger, "entryoutcomes", "listed", damaged, 9)
        read = watch_contents(ledger)
        assert ledger.load().frontier == writer.frontier
        assert read == list(range(26, 61))
        read.clear()
        if damaged:
            with pytest.raises(LedgerDamaged, match=f"Entry {damaged} is damaged: its outcomes"):
                check_all(ledger)
        else:
            check_all(ledger)
            assert read == [1, 2, 3, *range(21, 26)]
    finally:
        ledger.close()


@pytest.mark.parametrize("missing", [23, 55])
def test_an_entry_that_is_missing_above_a_snapshot_is_noticed(place: Location, missing: int) -> None:
    """Only below its snapshot a log may have gaps: up to the mark, and above the newest stable checkpoint."""
    ledger = opened(place)
    try:
        ledger.load()
        writer = LogWriter()
        writer.entries(20)
        ledger.install(snapshot_of(writer))
        ledger.load()
        write(ledger, writer, 60, 50)
        for table in ("consensusentry", "commitcertificate"):
            ledger._store.define(f"DELETE FROM ledger_{table} WHERE sequence = {missing}")  # noqa: S608
        sentence = f"Entry {missing + 1} is damaged: it follows entry {missing - 1}"
        ledger.close()
        ledger = opened(place)
        with pytest.raises(LedgerDamaged, match=sentence):
            _ = ledger.load(), check_all(ledger)
    finally:
        ledger.close()


def test_the_structure_of_the_file_is_checked_beside_the_work(sqlite_place: Location) -> None:
    """A page that a start does not read."""
    ledger = opened(sqlite_place)
    ledger.load()
    write(ledger, LogWriter(), ENTRIES, STABLE)
    [(page,)] = ledger._store.rows("SELECT rootpage FROM sqlite_master WHERE name = 'ledger_viewarchive'")
    [(size,)] = ledger._store.rows("PRAGMA page_size")
    ledger.close()
    with sqlite_place.database_file.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff")
    ledger = opened(sqlite_place)
    try:
        ledger.load()
        with pytest.raises(LedgerDamaged, match="The ledger is damaged: SQLite"):
            check_all(ledger)
        with pytest.raises(LedgerDamaged, match="The ledger is damaged: SQLite"):
            ledger.load()
    finally:
        ledger.close()


def test_a_long_check_of_the_structure_ends_with_the_ledger(tmp_path: Path) -> None:
    def endless(connection: sqlite3.Connection) -> None:
        connection.execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
        )

    check = StructureCheck(tmp_path / "file", endless)
    assert not check.done
    check.close()
    assert check.done
    check.raise_failure()


def test_a_file_that_cannot_be_opened_is_a_finding_and_no_end_of_the_check(tmp_path: Path) -> None:
    check = StructureCheck(tmp_path / "no folder" / "file", lambda _connection: None)
    wait_until(lambda: check.done, what="the check")
    with pytest.raises(JournalError, match="SQLite could not check the ledger: unable to open"):
        check.raise_failure()
