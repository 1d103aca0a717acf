"""Servers that happen to answer on this machine; a test that needs one says so when it is skipped."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
import redis

POSTGRESQL = "postgresql://postgres@127.0.0.1:5432"
REDIS_PORT = 6379
REDIS_MARK = "dtvn-tests-claim"


@pytest.fixture(scope="session")
def postgresql_server() -> str:
    """URL of the local server, without a database."""
    try:
        psycopg.connect(f"{POSTGRESQL}/postgres", connect_timeout=3).close()
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL server answers on 127.0.0.1:5432: {str(error).splitlines()[0]}")
    return POSTGRESQL


@pytest.fixture(scope="module")
def postgresql_database(postgresql_server: str) -> Iterator[str]:
    """A database of our own, dropped afterwards."""
    name = f"dtvn_network_{uuid4().hex[:12]}"
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    yield f"{postgresql_server}/{name}"
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def redis_database() -> Iterator[str]:
    """A numbered Redis database that nobody uses, emptied afterwards."""
    try:
        socket.create_connection(("127.0.0.1", REDIS_PORT), timeout=1).close()
    except OSError as error:
        pytest.skip(f"no Redis server answers on 127.0.0.1:{REDIS_PORT}: {error}")
    for number in range(1, 16):
        client = redis.Redis(port=REDIS_PORT, db=number)
        if client.dbsize() == 0 and client.set(REDIS_MARK, uuid4().hex, nx=True, ex=3_600):
            break
        client.close()
    else:
        pytest.skip("every numbered Redis database is in use")
    yield f"redis://127.0.0.1:{REDIS_PORT}/{number}"
    client.flushdb()
    client.close()
