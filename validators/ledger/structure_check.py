"""Checks the structure of an SQLite file beside the work, on a thread and connection of its own.

The check reads the whole file; sqlite3 releases the interpreter meanwhile, and a reader blocks no writer.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from dtvn.protocol.host.ports import JournalError

INTERRUPT_EVERY = 0.05
"""Seconds after which an interrupt is repeated: SQLite ignores one between two statements."""


class StructureCheck:
    """Runs `check` once, from its making on. `check` raises JournalError."""

    def __init__(self, path: Path, check: Callable[[sqlite3.Connection], None]) -> None:
        self._path = path
        self._check = check
        self._connection: sqlite3.Connection | None = None
        self._closing = False
        self._failure: JournalError | None = None
        self._thread = threading.Thread(target=self._run, name="ledger-check", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def raise_failure(self) -> None:
        """Raise what the check has found, if anything."""
        if self._failure is not None and not self._closing:
            raise self._failure

    def close(self) -> None:
        """End it."""
        self._closing = True
        while self._thread.is_alive():
            connection = self._connection
            if connection is not None:
                with suppress(sqlite3.Error):  # it has just closed its connection
                    connection.interrupt()
            self._thread.join(INTERRUPT_EVERY)

    def _run(self) -> None:
        try:
            with closing(
                sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            ) as connection:
                self._connection = connection
                try:
                    if not self._closing:
                        self._check(connection)
                finally:
                    self._connection = None
        except sqlite3.Error as error:
            self._failure = JournalError(f"SQLite could not check the ledger: {error}.")
        except JournalError as error:
            self._failure = error
