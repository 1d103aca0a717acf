"""An SQLite file in a folder that one process has at a time: each transaction is synced before it returns, so
what it holds survives a kill. I/O."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dtvn.files.whole import sync_folder


class FolderError(Exception):
    """The folder cannot be used: another process has it, or its file cannot be read."""


class KeptFile:
    """The file `<name>.sqlite3`, and `<name>.lock` beside it. Any thread may call it."""

    def __init__(self, folder: Path | None, name: str, tables: str, version: int, what: str) -> None:
        """`folder` None: in memory. `tables`: statements that make an empty file one of this `version`.
        `what`: what it holds, for sentences. Raises FolderError."""
        self.guard = threading.RLock()
        self._lock = -1
        try:
            if folder is None:
                self.database = _opened(":memory:", tables, version)
            else:
                self._lock = _locked(folder, name, what)
                self.database = _opened_file(folder, f"{name}.sqlite3", tables, version)
        except (OSError, sqlite3.Error) as error:
            self._unlock()
            raise FolderError(f"{what} in {folder}: {error}") from error
        except FolderError:
            self._unlock()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Cursor]:
        """One transaction; nothing of it stays if the block raises."""
        with self.guard, closing(self.database.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if self.database.in_transaction:
                    cursor.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file, and let another process have the folder; may be called twice."""
        with self.guard:
            self.database.close()
            self._unlock()

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _locked(folder: Path, name: str, what: str) -> int:
    """A descriptor that keeps other processes from the folder until it is closed. Raises FolderError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        text = f"another process uses {what} in {folder}: each needs a folder of its own"
        raise FolderError(text) from None
    return descriptor


def _opened_file(folder: Path, name: str, tables: str, version: int) -> sqlite3.Connection:
    path = folder / name
    # What it holds is for the owner's eyes; SQLite gives its further files the permissions of this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    database = _opened(str(path), tables, version)
    sync_folder(folder)
    return database


def _opened(path: str, tables: str, version: int) -> sqlite3.Connection:
    """The database with its tables. Raises sqlite3.Error, FolderError."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # each commit is synced before it returns
        (found,) = database.execute("PRAGMA user_version").fetchone()
        if found == 0:
            database.executescript(f"BEGIN IMMEDIATE; {tables} PRAGMA user_version = {version}; COMMIT;")
        elif found != version:
            raise FolderError(f"{path} is of version {found}, and this release reads {version}")
    except BaseException:
        database.close()
        raise
    return database
