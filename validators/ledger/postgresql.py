"""A ledger in a PostgreSQL schema of its own, over psycopg 3.

A turn is one pipeline: begin, fence, inserts and commit are sent together and cost about one round trip and
one flush of the server's log. Server settings that could lose an acknowledged commit are refused at start
(R10). A lost connection is a failed write: the process ends and starts again.
"""

from __future__ import annotations

import select
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

import psycopg
from django.db import Error as DjangoError
from psycopg import errors

from dtvn.ledger import LedgerBusy, LedgerUnreachable, LedgerUnsafe
from dtvn.protocol.host.ports import JournalError, JournalFenced, JournalFull
from validators.ledger.outcomes import INSERT_OPERATION
from validators.ledger.statements import UPSERT_CODE, UPSERT_STATE_ROW, UPSERT_TICKET, UPSERT_TICKET_BYTES
from validators.ledger.store import DuplicateKeyError, Parameters, Write

if TYPE_CHECKING:
    from dtvn.ledger import Location

SAFE_SETTINGS = {"fsync": "on", "full_page_writes": "on"}
"""Server settings without which a power cut can undo acknowledged commits (R10)."""
ADVISORY_CLASS = 0x4454564E
"""First key of DTVN's advisory locks ("DTVN"); the second is a checksum of the schema's name."""
LOCK_SECONDS = 3
ARRAYS_FROM = 8
ARRAY_TYPES = {
    UPSERT_TICKET: "text text text text bigint bigint text text text text bool bytea bigint",
    UPSERT_CODE: "text bytea text bool",
    UPSERT_TICKET_BYTES: "bigint text text text bytea bigint",
    UPSERT_STATE_ROW: "bytea bytea bigint",
    INSERT_OPERATION: "bigint bigint int bigint bigint text text text text text text text bytea bytea",
}
"""Statements that may insert thousands of rows at once -> their column types."""
UNFENCED = "SELECT 1 / count(*) FROM fenced"
"""Divides by zero, which aborts the transaction, if the fence changed no row."""


def connect(location: Location, wrapper: Any) -> PostgresStore:
    """Connect, check the server's settings, take the schema's lock, create the schema."""
    try:
        wrapper.ensure_connection()
    except DjangoError as error:
        raise LedgerUnreachable(
            f"PostgreSQL does not answer for {location.name}: {str(error).strip()}."
        ) from error
    connection: psycopg.Connection[Any] = wrapper.connection
    with translated("set up"):
        _check_settings(connection, location)
        _lock(connection, location)
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{location.schema}"'.encode())
    return PostgresStore(connection, location.schema)


def _check_settings(connection: psycopg.Connection[Any], location: Location) -> None:
    for name, wanted in SAFE_SETTINGS.items():
        found = _setting(connection, name)
        if found != wanted:
            raise LedgerUnsafe(
                f"PostgreSQL runs with {name} = {found}: a power cut could undo votes that were sent. "
                f"Set {name} = {wanted} on the server that holds {location.name}."
            )
    # A setting per session that is often off for a whole database, so it is set here, then checked.
    connection.execute("SET synchronous_commit = on")
    found = _setting(connection, "synchronous_commit")
    if found != "on":
        raise LedgerUnsafe(f"PostgreSQL keeps synchronous_commit = {found} for {location.name}.")


def _setting(connection: psycopg.Connection[Any], name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    return "" if row is None else str(row[0])


def _lock(connection: psycopg.Connection[Any], location: Location) -> None:
    """Take an advisory lock on the schema, which ends with the connection. (The lock file guards one host.)

    This process holds the lock file, so if the advisory lock is held, its holder most likely has just died on
    this host and the server is about to notice: this waits a short time.
    """
    connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'".encode())
    try:
        connection.execute("SELECT pg_advisory_lock(%s::int, %s::int)", _lock_keys(location.schema))
    except errors.LockNotAvailable as error:
        raise LedgerBusy(f"The ledger in {location.name} is in use by another process.") from error
    finally:
        connection.execute("RESET lock_timeout")


def _lock_keys(schema: str) -> tuple[int, int]:
    return ADVISORY_CLASS, zlib.crc32(schema.encode()) - (1 << 31)


class PostgresStore:
    """See store.Store."""

    upsert_ticket = UPSERT_TICKET

    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._expected: Sequence[tuple[str, str]] = ()

    def commit(
        self,
        fence: Write,
        writes: Iterable[Write],
        *,
        durable: bool,
        body_bytes: int = 0,
        finish: Callable[[], Sequence[Write]] | None = None,
    ) -> None:
        """See Store. After an error the server skips the rest of the pipeline, its COMMIT included."""
        last = [] if finish is None else finish()
        connection = self._connection
        with translated("write"):
            try:
                with connection.pipeline():
                    cursor = psycopg.Cursor(connection)
                    cursor.execute("BEGIN")
                    if not durable:
                        cursor.execute("SET LOCAL synchronous_commit = off")
                    fenced = f"WITH fenced AS ({_marks(fence.sql)} RETURNING 1) {UNFENCED}"
                    cursor.execute(fenced.encode(), fence.rows[0])
                    for write in chain(writes, last):
                        _run(cursor, write)
                    cursor.execute("COMMIT")
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise

    def rows(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """See Store."""
        with translated("read"):
            cursor = psycopg.Cursor(self._connection)
            return cursor.execute(_marks(sql).encode(), parameters).fetchall()

    def stream(self, sql: str, parameters: Parameters = ()) -> Iterator[tuple[Any, ...]]:
        """See Store."""
        with translated("read"):
            cursor = psycopg.Cursor(self._connection)
            yield from cursor.stream(_marks(sql).encode(), parameters)

    def has_table(self, name: str) -> bool:
        """See Store."""
        return self.rows("SELECT to_regclass(?) IS NOT NULL", (name,)) == [(True,)]

    def check(self, tables: Sequence[str] = ()) -> None:
        """See Store. The server checks its pages itself if it was set up with checksums."""

    def begin_check(self) -> None:
        """See Store, and `check`."""

    def end_check(self) -> bool:
        """See Store, and `check`."""
        return True

    def probe(self) -> None:
        """See Store."""
        with translated("write"):
            self._connection.execute("UPDATE ledger_ledgermeta SET turn = turn WHERE id = 1")

    def maintain(self) -> None:
        """See Store: the server checkpoints and vacuums by itself. An idle node notices here that the
        connection is lost: without a request, the server sends nothing else."""
        if self._connection.closed or select.select([self._connection.fileno()], [], [], 0)[0]:
            self.rows("SELECT 1")

    def expect_tickets(self, keys: Sequence[tuple[str, str]]) -> None:
        """See Store."""
        self._expected = keys

    def replaced(self) -> Mapping[str, int]:
        """See Store. Here it is queried before the upsert: a pipeline returns no results in its middle."""
        if not self._expected:
            return {}
        events, tickets = zip(*self._expected, strict=True)
        found = self.rows(
            # A lateral LIMIT keeps the planner at one index lookup per ticket, for any estimate.
            "SELECT 'ticket/' || old.state || '/' || wanted.event, count(*)"
            " FROM unnest(?::text[], ?::text[]) AS wanted (event, ticket_id)"
            " CROSS JOIN LATERAL (SELECT t.state FROM ledger_ticket t WHERE t.event = wanted.event"
            " AND t.ticket_id = wanted.ticket_id LIMIT 1) AS old GROUP BY 1",
            (list(events), list(tickets)),
        )
        return Counter(dict(found))

    def on_same_server(self, schemas: Collection[str]) -> set[str]:
        """See Store. The server's list of locks covers all its databases."""
        here = self.rows("SELECT nspname FROM pg_namespace WHERE nspname = ANY(?)", (list(schemas),))
        locks = self.rows(
            "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid::bigint = ?"
            " AND objsubid = 2 AND granted",
            (ADVISORY_CLASS,),
        )
        held = {number for (number,) in locks}
        opened = {schema for schema in schemas if _lock_keys(schema)[1] % (1 << 32) in held}
        return {str(name) for (name,) in here} | opened

    def define(self, sql: str) -> None:
        """See Store."""
        with translated("change"):
            self._connection.execute(sql.encode())

    def close(self) -> None:
        """See Store. Releases the lock explicitly: the server may notice the connection's end late."""
        if not self._connection.closed:
            with suppress(psycopg.Error):
                self._connection.execute(
                    "SELECT pg_advisory_unlock(%s::int, %s::int)", _lock_keys(self._schema)
                )


def _marks(sql: str) -> str:
    """The SQL with psycopg's placeholders; no statement holds another question mark or a per cent sign."""
    return sql.replace("?", "%s")


def _run(cursor: psycopg.Cursor[Any], write: Write) -> None:
    """Execute a statement; many rows of a large table are sent as arrays, in a third of the client's time."""
    named = ARRAY_TYPES.get(write.sql)
    if named is None or len(write.rows) < ARRAYS_FROM:
        # Not executemany: it would wait for the server's answers in the middle of the pipeline.
        sql = _marks(write.sql).encode()
        for row in write.rows:
            cursor.execute(sql, row)
        return
    types = named.split()
    values = "VALUES (" + ", ".join("?" * len(types)) + ")"
    arrays = ", ".join(f"%b::{name}[]" for name in types)
    filled = write.sql.replace(values, f"SELECT * FROM unnest({arrays})")  # noqa: S608 - constants only
    cursor.execute(filled.encode(), [list(column) for column in zip(*write.rows, strict=True)])


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Translate PostgreSQL's errors into the journal's."""
    try:
        yield
    except errors.DivisionByZero as error:
        raise JournalFenced("Another process has opened this ledger.") from error
    except psycopg.Error as error:
        text = f"PostgreSQL could not {what} the ledger: {str(error).strip()}."
        if isinstance(error, errors.DiskFull):
            raise JournalFull(text) from error
        if isinstance(error, errors.UniqueViolation):
            raise DuplicateKeyError(text) from error
        raise JournalError(text) from error
