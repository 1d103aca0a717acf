"""The queue of owed judgements: an SQLite file in a folder of the caller, or memory. I/O.

Each call is one transaction, synced before it returns: what a result calls owed survives a kill. One process
has a folder at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from dtvn.files.kept import KeptFile
from dtvn.gateway.calls import Overloaded
from dtvn.gateway.events_face import RunPlace
from dtvn.gateway.owed import OwedEvent, OwedRun, OwedSummary, SettledRun

NAME = "owed"
WHAT = "the queue of owed judgements"
RESULTS_MAX = 10_000
"""Most results that wait: a sequence is one, and so is each single event (contract 5.4)."""
BYTES_MAX = 64 * 1024 * 1024
"""Most bytes of the texts of their events."""
SETTLED_MAX = 1_000
SETTLED_BYTES_MAX = 64 * 1024 * 1024
"""Settled runs kept for `settled`, and their bytes; the oldest are forgotten first."""
VERSION = 1
_TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    head BLOB NOT NULL, results INTEGER NOT NULL, bytes INTEGER NOT NULL, settled BLOB
);
CREATE TABLE events (
    run INTEGER NOT NULL, number INTEGER NOT NULL, salt BLOB NOT NULL, text BLOB NOT NULL, here TEXT,
    PRIMARY KEY (run, number)
);
CREATE TABLE counts (settled INTEGER NOT NULL, differences INTEGER NOT NULL);
INSERT INTO counts VALUES (0, 0);
"""


class OwedRefused(Overloaded):
    """There is no place in the queue; nothing was stored."""


class _Head(msgspec.Struct, frozen=True):
    thread: str
    run: str
    algorithm: str
    recorded: bool | None
    place: RunPlace | None
    made: datetime


class OwedCounts(msgspec.Struct, frozen=True):
    """How much waits, and how much was settled since the queue was made."""

    runs: int = 0
    results: int = 0
    bytes: int = 0
    settled: int = 0
    differences: int = 0
    """Settled runs on which the members said otherwise."""


_read_head = msgspec.msgpack.Decoder(_Head)
_read_settled = msgspec.msgpack.Decoder(SettledRun)
_write = msgspec.msgpack.Encoder().encode
_WAITING = "FROM runs WHERE settled IS NULL"


class OwedQueue:
    """Runs owed, in the order in which they came, and those settled. Any thread may call it. `folder` None:
    in memory. Raises FolderError."""

    shared = False

    def __init__(self, folder: Path | None) -> None:
        self.durable = folder is not None
        self._file = KeptFile(folder, NAME, _TABLES, VERSION, WHAT)
        self._guard, self._database = self._file.guard, self._file.database

    def add(self, run: OwedRun) -> int:
        """Store a run of one result, at the end; its id is chosen here and returned. Raises OwedRefused."""
        head = _Head(run.thread, run.run, run.algorithm, run.recorded, run.place, run.made)
        with self._writing(run.events) as cursor:
            size = _size(run.events)
            cursor.execute("INSERT INTO runs (head, results, bytes) VALUES (?, 1, ?)", (_write(head), size))
            number = cursor.lastrowid or 0
            _insert(cursor, number, run.events)
        return number

    def extend(self, number: int, events: Sequence[OwedEvent]) -> None:
        """Store one more result about the next events of a waiting run. Raises OwedRefused; KeyError if it
        does not wait."""
        with self._writing(events) as cursor:
            change = "UPDATE runs SET results = results + 1, bytes = bytes + ?"
            where = "WHERE id = ? AND settled IS NULL"
            if not cursor.execute(f"{change} {where}", (_size(events), number)).rowcount:
                raise KeyError(number)
            _insert(cursor, number, events)

    def next_waiting(self, after: int = 0) -> int | None:
        """See OwedStore."""
        with self._guard:
            row = self._database.execute(
                f"SELECT id {_WAITING} AND id > ? ORDER BY id LIMIT 1",
                (after,),
            ).fetchone()
        return None if row is None else int(row[0])

    def has_waiting(self) -> bool:
        """See OwedStore."""
        return self.next_waiting() is not None

    def find(self, number: int) -> OwedRun | None:
        """The run with this id; None if it does not wait."""
        with self._guard:
            row = self._database.execute(f"SELECT id, head {_WAITING} AND id = ?", (number,)).fetchone()
            return None if row is None else self._run(*row)

    def settle(self, settled: SettledRun) -> bool:
        """Put the members' verdict in the place of a waiting run, once: False if it does not wait. The oldest
        settled runs beyond the bounds are forgotten. Raises sqlite3.Error, after which it waits still."""
        with self._file.transaction() as cursor:
            change = "UPDATE runs SET settled = ? WHERE id = ? AND settled IS NULL"
            if not cursor.execute(change, (_write(settled), settled.id)).rowcount:
                return False
            cursor.execute("DELETE FROM events WHERE run = ?", (settled.id,))
            cursor.execute(
                "UPDATE counts SET settled = settled + 1, differences = differences + ?", (settled.differs,)
            )
            cursor.execute(_FORGET_OLD, (SETTLED_MAX, SETTLED_BYTES_MAX, settled.id))
        return True

    def waiting(self) -> list[OwedSummary]:
        """The waiting runs, in order."""
        with self._guard:
            rows = self._database.execute(
                "SELECT id, head, bytes, (SELECT COUNT(*) FROM events WHERE run = id) "  # noqa: S608
                f"{_WAITING} ORDER BY id"
            ).fetchall()
        found = []
        for number, content, size, count in rows:
            head = _read_head.decode(content)
            found.append(OwedSummary(number, head.thread, head.run, head.made, count, size))
        return found

    def settled(self) -> list[SettledRun]:
        """The settled runs that are kept, in the order of their ids."""
        with self._guard:
            rows = self._database.execute(
                "SELECT settled FROM runs WHERE settled IS NOT NULL ORDER BY id"
            ).fetchall()
        return [_read_settled.decode(content) for (content,) in rows]

    def forget(self, number: int) -> None:
        """Forget a settled run; others are fine."""
        with self._file.transaction() as cursor:
            cursor.execute("DELETE FROM runs WHERE id = ? AND settled IS NOT NULL", (number,))

    def counts(self) -> OwedCounts:
        """How much waits and was settled."""
        with self._guard:
            waits = self._database.execute(
                f"SELECT COUNT(*), COALESCE(SUM(results), 0), COALESCE(SUM(bytes), 0) {_WAITING}"
            ).fetchone()
            settled = self._database.execute("SELECT settled, differences FROM counts").fetchone()
        return OwedCounts(*waits, *settled)

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def _run(self, number: int, content: bytes) -> OwedRun:
        rows = self._database.execute(
            "SELECT number, salt, text, here FROM events WHERE run = ? ORDER BY number", (number,)
        )
        head = _read_head.decode(content)
        events = tuple(OwedEvent(*row) for row in rows)
        return OwedRun(
            number, head.thread, head.run, head.algorithm, head.recorded, head.place, head.made, events
        )

    @contextmanager
    def _writing(self, events: Sequence[OwedEvent]) -> Iterator[sqlite3.Cursor]:
        """A transaction that stores a result about these events, if there is room. Raises OwedRefused."""
        try:
            with self._file.transaction() as cursor:
                results, size = cursor.execute(
                    f"SELECT COALESCE(SUM(results), 0), COALESCE(SUM(bytes), 0) {_WAITING}"
                ).fetchone()
                if results >= RESULTS_MAX:
                    raise OwedRefused(f"{results} results wait for the members' judgement already")
                if size + _size(events) > BYTES_MAX:
                    raise OwedRefused(f"{size} bytes of events wait for the members' judgement already")
                yield cursor
        except sqlite3.Error as error:  # a full disk, say
            raise OwedRefused(f"the queue of owed judgements cannot be written: {error}") from error


_FORGET_OLD = """
DELETE FROM runs WHERE id IN (
    SELECT id FROM (
        SELECT id, ROW_NUMBER() OVER newest AS place, SUM(LENGTH(settled)) OVER newest AS size
        FROM runs WHERE settled IS NOT NULL
        WINDOW newest AS (ORDER BY id DESC)
    ) WHERE place > ? OR size > ?
) AND id != ?
"""


def _insert(cursor: sqlite3.Cursor, number: int, events: Sequence[OwedEvent]) -> None:
    rows = ((number, each.index, each.salt, each.text, each.here) for each in events)
    cursor.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)


def _size(events: Sequence[OwedEvent]) -> int:
    return sum(len(event.text) for event in events)
