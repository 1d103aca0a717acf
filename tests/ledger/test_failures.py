"""A failed statement is named for what it is, with the ledger it failed on; only a lock is busy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, ProgrammingError
from psycopg import errors as postgresql

from dtvn.api.errors import ApiError
from dtvn.ledger import LedgerDamaged, Location
from tests.ledger.samples import CLUSTER
from tests.ledger.test_damage import fill
from tests.support.table import table
from validators.database_failures import Failure, answer_to, failure_of
from validators.ledger import node_reader, open_ledger
from validators.ledger.location import drop_alias
from validators.rest.errors import describe

ALIAS = "ledger-of-failures"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A filled SQLite ledger, closed."""
    ledger = open_ledger(tmp_path, cluster_id=CLUSTER, alias=ALIAS)
    ledger.load()
    fill(ledger)
    ledger.close()
    return tmp_path


@contextmanager
def reading(folder: Path) -> Iterator[node_reader.NodeReader]:
    yield node_reader.NodeReader(Location(folder), ["r0", "r1", "r2", "r3"])
    drop_alias(node_reader.ALIAS)


def spoil_pages(file: Path) -> None:
    """Overwrite every page but the first, which holds the schema."""
    with file.open("r+b") as opened:
        size = opened.seek(0, 2)
        opened.seek(1024)
        opened.write(b"\xa5" * (size - 1024))


def refused(folder: Path) -> ApiError:
    with reading(folder) as reader, pytest.raises(ApiError) as caught:
        reader.holdings({})
    return caught.value


def test_a_nodes_api_names_a_damaged_ledger_and_what_to_do(folder: Path) -> None:
    spoil_pages(folder / "ledger.sqlite3")
    error = refused(folder)
    assert (error.status, error.code) == (503, "database_damaged")
    assert str(error).startswith("This node's ledger is damaged: stop the node, keep ")


def test_a_file_that_is_no_database_is_damaged(folder: Path) -> None:
    (folder / "ledger.sqlite3").write_bytes(b"no database at all" * 1_000)
    assert refused(folder).code == "database_damaged"


def test_a_ledger_that_does_not_exist_yet_has_no_tables(tmp_path: Path) -> None:
    assert refused(tmp_path).code == "database_missing"


def test_a_ledger_that_is_there_and_cannot_be_opened_is_not_called_new(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").mkdir()
    error = refused(tmp_path)
    assert (error.status, error.code) == (503, "database_unopened")
    assert str(error).startswith("This node's ledger cannot be opened: ")


def test_a_node_calls_its_damaged_ledger_damaged(folder: Path) -> None:
    spoil_pages(folder / "ledger.sqlite3")
    with pytest.raises(LedgerDamaged, match="database disk image is malformed"):
        open_ledger(folder, cluster_id=CLUSTER, alias=ALIAS)


def test_a_node_calls_a_file_that_is_no_database_damaged(folder: Path) -> None:
    (folder / "ledger.sqlite3").write_bytes(b"no database at all" * 1_000)
    with pytest.raises(LedgerDamaged, match="file is not a database"):
        open_ledger(folder, cluster_id=CLUSTER, alias=ALIAS)


@table(
    ("cause", "failure"),
    [
        (postgresql.LockNotAvailable(), Failure.BUSY),
        (postgresql.DeadlockDetected(), Failure.BUSY),
        (postgresql.DataCorrupted(), Failure.DAMAGED),
        (postgresql.IndexCorrupted(), Failure.DAMAGED),
        (postgresql.DiskFull(), Failure.FULL),
        (postgresql.UndefinedTable(), Failure.MISSING),
        (psycopg.OperationalError("connection refused"), Failure.AWAY),
    ],
    count=7,
)
def test_errors_of_a_server_by_their_codes(cause: psycopg.Error, failure: Failure) -> None:
    error = DatabaseError("as Django wraps it")
    error.__cause__ = cause
    assert failure_of(error) is failure


def test_an_outage_is_not_called_busy() -> None:
    error = OperationalError("connection refused")
    error.__cause__ = psycopg.OperationalError("connection refused")
    assert answer_to(error).code == "database_away"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OperationalError("connection refused"), "database_away"),
        (InterfaceError("connection already closed"), "database_away"),
        (ProgrammingError("syntax error"), "internal_error"),
        (IntegrityError("UNIQUE constraint failed"), "internal_error"),
    ],
)
def test_a_bug_of_ours_is_not_called_an_outage(error: Exception, code: str) -> None:
    assert (describe(error).status, describe(error).code) == (503, code)


def test_a_server_without_our_tables_is_not_called_a_bug() -> None:
    error = ProgrammingError('relation "ledger_ticket" does not exist')
    error.__cause__ = postgresql.UndefinedTable()
    assert describe(error).code == "database_missing"
