"""What a node itself wrote, in a folder: it goes on from there, even if nobody else is up (R46). I/O."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from dtvn.files.kept import FolderError, KeptFile
from dtvn.protocol import canonical
from dtvn.sync import Item

NAME = "state"
WHAT = "the state that a node wrote"
VERSION = 1
_TABLES = """
CREATE TABLE items (
    kind TEXT NOT NULL, name TEXT NOT NULL, item BLOB NOT NULL, PRIMARY KEY (kind, name)
);
"""


class OwnItems:
    """The newest item of each kind and key that one node signed. Raises FolderError."""

    def __init__(self, folder: Path) -> None:
        self._file = KeptFile(folder, NAME, _TABLES, VERSION, WHAT)
        self._folder = folder

    def load(self) -> list[Item]:
        """All of them; raise FolderError for one that cannot be read."""
        with self._file.guard:
            rows = self._file.database.execute("SELECT item FROM items").fetchall()
        try:
            return [canonical.decode(Item, row) for (row,) in rows]
        except canonical.CanonicalError as error:
            raise FolderError(f"{WHAT} in {self._folder}: {error}") from error

    def keep(self, item: Item) -> None:
        """Store an item in the place of the older one. Raises FolderError."""
        row = (item.kind, item.key, canonical.encode(item))
        self._change("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", [row])

    def forget(self, items: Iterable[Item]) -> None:
        """Store these no longer. Raises FolderError."""
        self._change(
            "DELETE FROM items WHERE kind = ? AND name = ?", [(each.kind, each.key) for each in items]
        )

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def _change(self, statement: str, rows: Sequence[tuple[str | bytes, ...]]) -> None:
        try:
            with self._file.transaction() as cursor:
                cursor.executemany(statement, rows)
        except sqlite3.Error as error:  # a full disk, say
            raise FolderError(f"{WHAT} in {self._folder} cannot be kept: {error}") from error
