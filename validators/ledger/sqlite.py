"""A ledger in an SQLite file: write-ahead log, every turn synced, checkpoints on a thread of their own."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dtvn.ledger import LedgerDamaged
from dtvn.protocol.host.ports import JournalError, JournalFenced, JournalFull
from validators.ledger.location import BUSY_SECONDS
from validators.ledger.statements import UPSERT_TICKET
from validators.ledger.store import DuplicateKeyError, Parameters, Write
from validators.ledger.structure_check import StructureCheck
from validators.ledger.wal_checkpointer import WalCheckpointer

CHECKPOINT_EVERY = 16 * 1024 * 1024
"""Bytes written (estimated as a page per row, plus the batches) after which a checkpoint copies them."""
PAGE_SIZE = 1024
"""Small pages: a turn changes a few rows in many tables, and tickets change in random order. For 1,000 random
tickets it is twice as fast as 4,096, and not measurably slower for batches (decision 0012)."""
PROBE_BYTES = 2 * 1024 * 1024
"""Free bytes that a full disk must have again: more than a turn with the largest batch needs."""
CACHE_KIBIBYTES = 8_192
"""Memory for pages. A log fills any size with pages that nothing reads again. With 32 MiB, rows of random
tickets among 300,000 cost no less processor time: the kernel has the pages too."""
FULL_CODES = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
"""Errors of a full disk. SHMSIZE: the index of the write-ahead log could not grow, which only a full disk
causes."""
DAMAGE_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""Primary codes: the low byte of the extended ones."""
DUPLICATE_CODES = frozenset({sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE})


def create_database_file(path: Path) -> None:
    """Create the file so that only its owner can ever read it; log and index inherit the mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


class SqliteStore:
    """See store.Store."""

    upsert_ticket = UPSERT_TICKET.replace(
        " state = excluded.state",
        " state = coalesce(replaced('ticket/' || ledger_ticket.state || '/' || ledger_ticket.event),"
        " excluded.state)",
    )
    """The SQL function `replaced` is `list.append`: it records the old state's counter and returns NULL."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._file = identity(path)
        self._synchronous = ""
        self._replaced: list[str] = []
        self._uncopied = 0
        with translated("set up"):
            connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            if mode != "wal":
                raise JournalError(f"SQLite gives the ledger journal mode {mode!r}, not WAL.")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute(f"PRAGMA cache_size=-{CACHE_KIBIBYTES}")
            connection.execute("PRAGMA cell_size_check=ON")
            connection.create_function("replaced", 1, self._replaced.append)
            self._set_durable(True)
        self._checkpointer = WalCheckpointer(path)
        self._structure: StructureCheck | None = None

    def commit(
        self,
        fence: Write,
        writes: Iterable[Write],
        *,
        durable: bool,
        body_bytes: int = 0,
        finish: Callable[[], Sequence[Write]] | None = None,
    ) -> None:
        """See Store. A failed transaction is rolled back before the error is raised. If the file was deleted
        or replaced, the transaction is lost even if SQLite reports success, so this raises: it must not be
        acknowledged (R6)."""
        connection = self._connection
        self._checkpointer.raise_failure()
        if finish is not None:  # the transaction of the rows, for which no caller waits
            self._begin_log_anew()  # before it, since a failure means that nothing was written
        with translated("write"):
            self._set_durable(durable)
            connection.execute("BEGIN IMMEDIATE")
            try:
                if connection.execute(fence.sql, fence.rows[0]).rowcount != 1:
                    raise JournalFenced("Another process has opened this ledger.")
                self._run(writes)
                if finish is not None:
                    self._run(finish())
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        if identity(self._path) != self._file:
            raise JournalError(f"The ledger's file {self._path} was removed or replaced while it was in use.")
        self._uncopied += body_bytes
        if self._uncopied >= CHECKPOINT_EVERY:
            self.maintain()

    def rows(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """See Store."""
        with translated("read"):
            return self._connection.execute(sql, parameters).fetchall()

    def stream(self, sql: str, parameters: Parameters = ()) -> Iterator[tuple[Any, ...]]:
        """See Store."""
        with translated("read"):
            yield from self._connection.execute(sql, parameters)

    def has_table(self, name: str) -> bool:
        """See Store."""
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)))

    def check(self, tables: Sequence[str] = ()) -> None:
        """See Store. Rows have checksums of their own; this checks the B-trees that hold them."""
        for name in tables or ("1",):  # without a table: of all, the first thing that is wrong
            check_structure(self._connection, name)

    def begin_check(self) -> None:
        """See Store."""
        if self._structure is None:
            self._structure = StructureCheck(self._path, check_structure)

    def end_check(self) -> bool:
        """See Store."""
        if self._structure is None:
            return True
        done = self._structure.done
        self._structure.raise_failure()
        return done

    def probe(self) -> None:
        """See Store. Writes PROBE_BYTES to a separate file: a small write could fit where a turn does not."""
        path = self._path.with_name("ledger.probe")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                written = os.write(descriptor, bytes(PROBE_BYTES))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise JournalError(f"The ledger's disk takes no file: {error}.") from error
            written = 0
        finally:
            path.unlink(missing_ok=True)
        if written < PROBE_BYTES:
            raise JournalFull("The ledger's disk is still full.")

    def maintain(self) -> None:
        """Start a copy of the write-ahead log in the background (R25)."""
        if self._uncopied:
            self._uncopied = 0
            self._checkpointer.wake()

    def _begin_log_anew(self) -> None:
        """After a copy in the background, copy the few pages written since, so that the log's file is filled
        from its beginning again and does not grow for ever. Runs between turns, with the rows."""
        if not self._checkpointer.take_done():
            return
        with translated("checkpoint"):
            self._connection.execute("PRAGMA busy_timeout=0")
            try:
                # Returns busy while a reader is active: the log then grows until the reader is done.
                self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            finally:
                self._connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1_000}")

    def expect_tickets(self, keys: Sequence[tuple[str, str]]) -> None:
        """See Store. Here the upsert itself counts, which saves a lookup of each ticket."""
        self._replaced.clear()

    def replaced(self) -> Mapping[str, int]:
        """See Store."""
        return Counter(self._replaced)

    def on_same_server(self, schemas: Collection[str]) -> set[str]:
        """See Store."""
        return set()

    def define(self, sql: str) -> None:
        """See Store."""
        with translated("change"):
            self._connection.execute(sql)

    def close(self) -> None:
        """See Store."""
        if self._structure is not None:
            self._structure.close()
        self._checkpointer.close()

    def _run(self, writes: Iterable[Write]) -> None:
        for write in writes:
            self._uncopied += PAGE_SIZE * len(write.rows)
            if len(write.rows) == 1:
                self._connection.execute(write.sql, write.rows[0])
            else:
                self._connection.executemany(write.sql, write.rows)

    def _set_durable(self, durable: bool) -> None:
        wanted = "FULL" if durable else "NORMAL"
        if wanted != self._synchronous:
            self._connection.execute(f"PRAGMA synchronous={wanted}")
            self._synchronous = wanted


def check_structure(connection: sqlite3.Connection, table: str = "1") -> None:
    """Have SQLite check the B-trees of a table, or ("1") of all. Raises LedgerDamaged."""
    with translated("check"):
        verdict = connection.execute(f"PRAGMA quick_check({table})").fetchone()[0]
    if verdict != "ok":
        raise LedgerDamaged(f"SQLite finds {verdict}")


def identity(path: Path) -> tuple[int, int] | None:
    """(device, inode) of the file with this path, None without a file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"The ledger's file cannot be looked at: {error}.") from error
    return found.st_dev, found.st_ino


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Translate SQLite's errors into the journal's."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        text = f"SQLite could not {what} the ledger: {error} ({name})."
        if code in FULL_CODES:
            raise JournalFull(text) from error
        if code in DUPLICATE_CODES:
            raise DuplicateKeyError(text) from error
        if code & 0xFF in DAMAGE_CODES:
            raise LedgerDamaged(text.removesuffix(".")) from error
        raise JournalError(text) from error
    except UnicodeDecodeError as error:
        # SQLite quotes a damaged schema in its message, which then may not be valid UTF-8.
        raise LedgerDamaged(f"SQLite could not {what} it, and its message is not text") from error
