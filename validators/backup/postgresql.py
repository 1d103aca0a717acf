"""PostgreSQL's own tools for one schema: pg_dump writes a consistent copy while the schema is in use,
pg_restore writes it back in one transaction.

They must be installed (Debian: postgresql-client), in the server's version or a newer one. A password never
appears in a process list: it is handed over in the environment.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from validators.backup.forms import BackupError

READING = (
    "-c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read"
    " -c idle_in_transaction_session_timeout=0"
)


def dump(
    url: str, schema: str, out: Path, *selects: str, without: Sequence[str] = ()
) -> list[list[tuple[object, ...]]]:
    """Write one schema to a file, readable by its owner only; return the rows of each SELECT, of the same
    snapshot. `without`: tables whose rows are left out. Raises BackupError."""
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    words = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--schema={schema}"]
    words += [f"--exclude-table-data={schema}.{table}" for table in without]
    with os.fdopen(descriptor, "wb") as file, _reading(url) as server:
        ((snapshot,),) = server.execute("SELECT pg_export_snapshot()").fetchall()
        found = [server.execute(sql.encode()).fetchall() for sql in selects]
        _run(url, [*words, f"--snapshot={snapshot}"], file)
    return found


def restore(url: str, dumped: Path) -> None:
    """Restore the schema that `dump` wrote, completely or not at all; it must be empty or absent
    (`occupied`). Raises BackupError."""
    words = ["pg_restore", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    # --clean: a new database has an empty schema `public` already.
    _run(url, [*words, "--clean", "--if-exists", str(dumped)], None)


def occupied(url: str, schema: str) -> bool:
    """Whether a schema holds tables; raise BackupError if the server does not answer."""
    return bool(rows(url, "SELECT 1 FROM pg_tables WHERE schemaname = %s LIMIT 1", (schema,)))


def platform_id(url: str) -> str:
    """Id of the platform whose database this is; "" if none was started on it. Raises BackupError."""
    table = "public.validators_platform"
    if rows(url, "SELECT to_regclass(%s)", (table,)) == [(None,)]:
        return ""
    return "".join(str(found) for (found,) in rows(url, f"SELECT platform_id FROM {table}"))  # noqa: S608


def rows(url: str, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The rows of a SELECT; raise BackupError."""
    with _reading(url) as server:
        return server.execute(sql.encode(), parameters).fetchall()


@contextmanager
def _reading(url: str) -> Iterator[psycopg.Connection]:
    """A transaction that sees one snapshot, however long it is idle; raise BackupError. Messages show no URL,
    which may hold a password."""
    try:
        with psycopg.connect(url, connect_timeout=10, options=READING) as server:
            yield server
    except psycopg.Error as error:
        raise BackupError(f"PostgreSQL cannot be read: {str(error).strip()}.") from error


def _run(url: str, words: list[str], out: IO[bytes] | None) -> None:
    known = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    password = known.pop("password", "")
    place = f"--dbname={make_conninfo('', **known)}"
    try:
        done = subprocess.run(
            [words[0], place, *words[1:]],
            env=os.environ | ({"PGPASSWORD": password} if password else {}),
            stdin=subprocess.DEVNULL,
            stdout=out or subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise BackupError(f"{words[0]} is not installed (Debian: postgresql-client).") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise BackupError(f"{words[0]} failed: {lines[0].removesuffix('.')}.")
