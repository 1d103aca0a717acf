"""A ledger file as an auditor reads it: read-only, beside whoever writes it, without Django.

Nothing here is believed: the signatures in the frames are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from validators.ledger.location import DATABASE_FILE

__all__ = ["ArchiveError", "LedgerArchive"]

_frames = msgspec.msgpack.Decoder(tuple[bytes, ...])
_ALWAYS = (
    "SELECT frames FROM ledger_protocolrecord",
    "SELECT frames FROM ledger_viewarchive",
    "SELECT frames FROM ledger_evidence",
)
_FROM = (
    "SELECT frames FROM ledger_commitcertificate WHERE sequence >= ?",
    "SELECT frames FROM ledger_checkpoint WHERE sequence >= ?",
)


class ArchiveError(Exception):
    """No ledger of this cluster; the text is a sentence without the full stop."""


class LedgerArchive:
    """One SQLite ledger; `path`: the file, or a folder that holds it."""

    def __init__(self, path: Path, cluster: bytes) -> None:
        self.path = path
        file = path / DATABASE_FILE if path.is_dir() else path
        if not file.is_file():
            raise ArchiveError(f"{file} does not exist")
        try:
            self._connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
            row = self._connection.execute("SELECT cluster, schema FROM ledger_ledgermeta").fetchone()
        except sqlite3.Error as error:
            raise ArchiveError(f"{file} is no ledger: {error}") from error
        if row is None or bytes(row[0]) != cluster:
            raise ArchiveError(f"{file} is the ledger of another cluster")

    def entry_hashes(self) -> dict[int, bytes]:
        """Sequence -> entry hash of the whole log."""
        try:
            rows = self._connection.execute("SELECT sequence, entry_hash FROM ledger_consensusentry")
            return {sequence: bytes(hashed) for sequence, hashed in rows}
        except sqlite3.Error as error:
            raise ArchiveError(f"{self.path} cannot be read: {error}") from error

    def frames(self, first: int = 0) -> Iterator[bytes]:
        """Signed frames: those of views, votes and evidence, and what proves the log from `first` on."""
        try:
            for sql in _ALWAYS:
                yield from self._unpacked(sql, ())
            for sql in _FROM:
                yield from self._unpacked(sql, (first,))
        except sqlite3.Error as error:
            raise ArchiveError(f"{self.path} cannot be read: {error}") from error

    def _unpacked(self, sql: str, parameters: tuple[int, ...]) -> Iterator[bytes]:
        for (packed,) in self._connection.execute(sql, parameters):
            try:
                yield from _frames.decode(bytes(packed))
            except (msgspec.MsgspecError, TypeError):
                continue  # a damaged row proves nothing, the others still do
