"""Reads a ledger for an auditor: read-only, while its node may write it, without Django.

The auditor trusts only the signatures in the frames, nothing else that is read here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
import psycopg

from dtvn.ledger import DATABASE_FILE, SCHEMA_NAME
from dtvn.protocol import canonical
from dtvn.protocol.consensus.contradiction import RECORD, Contradiction

Rows = Callable[[str, tuple[int, ...]], Iterator[tuple[Any, ...]]]

_frames = msgspec.msgpack.Decoder(tuple[bytes, ...])
_ALWAYS = (
    "SELECT frames FROM ledger_protocolrecord",
    "SELECT frames FROM ledger_viewarchive",
    "SELECT frames FROM ledger_evidence",
)
_CONTRADICTION = f"SELECT value FROM ledger_statevalue WHERE name = '{RECORD}'"  # noqa: S608
_FROM = (
    "SELECT frames FROM ledger_commitcertificate WHERE sequence >= ?",
    "SELECT frames FROM ledger_checkpoint WHERE sequence >= ?",
)
_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s ORDER BY nspname"


class ArchiveError(Exception):
    """There is no ledger of this cluster; the text is a sentence without its full stop."""


def open_archives(place: str, cluster: bytes) -> list[LedgerArchive]:
    """The ledgers of a cluster in one place: an SQLite file, its folder, or a PostgreSQL database URL, in
    which the query parameter `schema` names one ledger; without it, all are opened. Raises ArchiveError."""
    if not place.startswith(("postgresql://", "postgres://")):
        return [LedgerArchive(*_sqlite(Path(place)), cluster)]
    return [LedgerArchive(name, rows, cluster) for name, rows in _postgresql(place, cluster)]


def _sqlite(path: Path) -> tuple[str, Rows]:
    file = path / DATABASE_FILE if path.is_dir() else path
    if not file.is_file():
        raise ArchiveError(f"{file} does not exist")

    def rows(sql: str, parameters: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
        try:
            yield from connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise ArchiveError(f"{file} cannot be read: {error}") from error

    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise ArchiveError(f"{file} is not a ledger: {error}") from error
    return str(path), rows


def _postgresql(url: str, cluster: bytes) -> list[tuple[str, Rows]]:
    """(schema, rows) of each ledger that `url` selects. Messages never show the URL: it may hold a
    password."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    schema = query.pop("schema", "")
    plain = urlunsplit(parts._replace(query=urlencode(query)))
    if schema and not SCHEMA_NAME.fullmatch(schema):
        raise ArchiveError(f"{schema!r} is not the schema of a ledger")
    pattern = rf"ledger\_{cluster.hex()[:12]}\_%"
    schemas = [schema] if schema else _all_of(plain, pattern)
    if not schemas:
        raise ArchiveError("this database holds no ledger of the cluster")
    return [(f"schema {name}", _select(plain, name)) for name in schemas]


def _all_of(url: str, pattern: str) -> list[str]:
    try:
        with psycopg.connect(url) as connection:
            return [name for (name,) in connection.execute(_SCHEMAS, (pattern,))]
    except psycopg.Error as error:
        raise ArchiveError(f"the database cannot be read: {error}") from error


def _select(url: str, schema: str) -> Rows:
    options = f"-c search_path={schema} -c default_transaction_read_only=on"

    def rows(sql: str, parameters: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
        try:
            with psycopg.connect(url, options=options, autocommit=True) as connection:
                yield from connection.cursor().stream(sql.replace("?", "%s").encode(), parameters)
        except psycopg.Error as error:
            raise ArchiveError(f"schema {schema} cannot be read: {error}") from error

    return rows


class LedgerArchive:
    """One ledger. `rows` executes a SELECT with `?` for parameters, and raises ArchiveError."""

    def __init__(self, name: str, rows: Rows, cluster: bytes) -> None:
        self.name = name
        """Name for messages: its file or its schema."""
        self._rows = rows
        try:
            meta = next(rows("SELECT cluster, schema FROM ledger_ledgermeta", ()), None)
        except ArchiveError as error:
            raise ArchiveError(f"{name} is not a ledger: {error}") from error
        if meta is None or bytes(meta[0]) != cluster:
            raise ArchiveError(f"{name} is the ledger of another cluster")

    def entry_hashes(self) -> dict[int, bytes]:
        """Sequence -> entry hash of the whole log."""
        rows = self._rows("SELECT sequence, entry_hash FROM ledger_consensusentry", ())
        return {sequence: bytes(hashed) for sequence, hashed in rows}

    def frames(self, first: int = 0) -> Iterator[bytes]:
        """Signed frames: those of views, votes and evidence, and those that prove the log from `first` on."""
        for sql in _ALWAYS:
            yield from self._unpacked(sql, ())
        for sql in _FROM:
            yield from self._unpacked(sql, (first,))

    def contradiction(self) -> tuple[str, tuple[bytes, ...]] | None:
        """The recorded reason why its node stopped permanently, and the signed frames of both certificates;
        None if it did not stop. Raises ArchiveError."""
        for (value,) in self._rows(_CONTRADICTION, ()):
            try:
                found = canonical.decode(Contradiction, bytes(value))
            except canonical.CanonicalError:
                return "it found one, in a record that cannot be read", ()
            return found.sentence, (*found.mine, *found.theirs)
        return None

    def _unpacked(self, sql: str, parameters: tuple[int, ...]) -> Iterator[bytes]:
        for (packed,) in self._rows(sql, parameters):
            try:
                yield from _frames.decode(bytes(packed))
            except (msgspec.MsgspecError, TypeError):
                continue  # skip a damaged row, the others are still valid
