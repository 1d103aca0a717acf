"""Copies SQLite's write-ahead log into the database file, on a thread and connection of its own (R25).

A passive checkpoint blocks no writer, and sqlite3 releases the interpreter while it copies and syncs.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from dtvn.protocol.host.ports import JournalError

PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})
"""Transient errors: a later checkpoint copies the same pages."""


class WalCheckpointer:
    """Runs checkpoints for the writer, in its process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wanted = threading.Event()
        self._closing = False
        self._done = False
        self._failure = ""
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Ask for a checkpoint; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ledger-checkpoint", daemon=True)
            self._thread.start()
        self._wanted.set()

    def take_done(self) -> bool:
        """Whether a checkpoint has ended since the last call."""
        done, self._done = self._done, False
        return done

    def raise_failure(self) -> None:
        """Raise JournalError if the disk failed during a checkpoint.

        The operating system may have dropped the pages that it could not write, and a second attempt would
        look like success; only the log still has them, so it must not be overwritten.
        """
        if self._failure:
            raise JournalError(f"SQLite could not copy the ledger's log: {self._failure}.")

    def close(self) -> None:
        """End the thread after the running checkpoint."""
        self._closing = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        try:
            with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous=FULL")
                self._serve(connection)
        except sqlite3.Error as error:
            self._failure = str(error)

    def _serve(self, connection: sqlite3.Connection) -> None:
        while True:
            self._wanted.wait()
            if self._closing:
                return
            self._wanted.clear()
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                self._done = True
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in PASSING:
                    raise
