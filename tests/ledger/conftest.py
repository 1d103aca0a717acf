"""Ledgers make their own databases; nothing here touches those of the platform.

Every test of what a ledger does runs on SQLite and, where a server answers (`servers.POSTGRESQL`; with
`CI=true` one must), on PostgreSQL too, in a database made for this run and dropped after it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from dtvn.ledger import Location
from tests.integration import servers
from tests.ledger.samples import CLUSTER
from tests.needed import lacking
from validators.ledger import Ledger, open_ledger


@pytest.fixture(autouse=True)
def _databases(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A database of our own on the PostgreSQL server for tests."""
    server = servers.POSTGRESQL
    name = f"dtvn_tests_{uuid4().hex[:12]}"
    try:
        with psycopg.connect(f"{server}/postgres", autocommit=True, connect_timeout=10) as admin:
            admin.execute(f"CREATE DATABASE {name}".encode())
    except psycopg.OperationalError as error:
        lacking(servers.silent("PostgreSQL", server, "TEST_POSTGRESQL", str(error).splitlines()[0]))
    yield f"{server}/{name}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Location:
    return Location(folder=tmp_path / "ledger")


@pytest.fixture
def postgres_place(tmp_path: Path, server_url: str) -> Location:
    return Location(folder=tmp_path / "ledger", url=server_url, schema=f"ledger_{uuid4().hex[:12]}")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Location:
    """Where a ledger of this test lives: once on each database."""
    chosen = "sqlite_place" if request.param == "sqlite" else "postgres_place"
    found: Location = request.getfixturevalue(chosen)
    return found


@pytest.fixture
def ledger(place: Location) -> Iterator[Ledger]:
    """An empty ledger, loaded and ready to append."""
    opened = open_ledger(place, cluster_id=CLUSTER, alias="ledger-under-test")
    opened.load()
    yield opened
    opened.close()


@pytest.fixture
def sqlite_ledger(sqlite_place: Location) -> Iterator[Ledger]:
    """As `ledger`, in an SQLite file."""
    opened = open_ledger(sqlite_place, cluster_id=CLUSTER, alias="ledger-under-test")
    opened.load()
    yield opened
    opened.close()
