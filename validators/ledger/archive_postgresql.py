"""Ledgers on PostgreSQL, for auditors: one read-only connection each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg

from dtvn.ledger.location import SCHEMA_NAME
from validators.ledger.archive import ArchiveError, Rows

__all__ = ["ledgers"]

_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s ORDER BY nspname"


def ledgers(url: str, cluster: bytes) -> list[tuple[str, Rows]]:
    """(schema, rows) of each ledger that `url` selects. Messages never show the URL: it may hold a
    password."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    schema = query.pop("schema", "")
    plain = urlunsplit(parts._replace(query=urlencode(query)))
    if schema and not SCHEMA_NAME.fullmatch(schema):
        raise ArchiveError(f"{schema!r} is no schema of a ledger")
    pattern = rf"ledger\_{cluster.hex()[:12]}\_%"
    schemas = [schema] if schema else _all_of(plain, pattern)
    if not schemas:
        raise ArchiveError("this database holds no ledger of the cluster")
    return [(f"schema {name}", _rows(plain, name)) for name in schemas]


def _all_of(url: str, pattern: str) -> list[str]:
    try:
        with psycopg.connect(url) as connection:
            return [name for (name,) in connection.execute(_SCHEMAS, (pattern,))]
    except psycopg.Error as error:
        raise ArchiveError(f"the database cannot be read: {error}") from error


def _rows(url: str, schema: str) -> Rows:
    options = f"-c search_path={schema} -c default_transaction_read_only=on"

    def rows(sql: str, parameters: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
        try:
            with psycopg.connect(url, options=options, autocommit=True) as connection:
                yield from connection.cursor().stream(sql.replace("?", "%s").encode(), parameters)
        except psycopg.Error as error:
            raise ArchiveError(f"schema {schema} cannot be read: {error}") from error

    return rows
