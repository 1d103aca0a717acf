"""Where networks under test keep their state: in files, or (`--scaled-out`) on PostgreSQL and Redis. Tests of
the servers themselves start their own (`postgresql`, `own_brokers`).

Every network gets a database and a numbered Redis database of its own, dropped with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import kombu
import kombu.exceptions
import psycopg
import redis

POSTGRESQL = os.environ.get("TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432")
REDIS = os.environ.get("TEST_REDIS", "redis://127.0.0.1:6379")
RABBITMQ = os.environ.get("TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//")
PACKAGES = {"PostgreSQL": "postgresql", "Redis": "redis-server", "RabbitMQ": "rabbitmq-server"}
REDIS_NUMBERS = range(1, 16)
CLAIM = "dtvn-tests-claim"
CLAIM_SECONDS = 3_600

_scaled_out = False


def use_servers() -> None:
    """From now on networks are made on the servers."""
    global _scaled_out
    _scaled_out = True


def scaled_out() -> bool:
    return _scaled_out


def missing() -> str:
    """Why the servers cannot be used on this machine; empty when they can."""
    try:
        psycopg.connect(f"{POSTGRESQL}/postgres", connect_timeout=10).close()
    except psycopg.OperationalError as error:
        return silent("PostgreSQL", POSTGRESQL, "TEST_POSTGRESQL", str(error).splitlines()[0])
    try:
        with redis.Redis.from_url(REDIS, socket_timeout=10) as client:
            client.ping()
    except redis.RedisError as error:
        return silent("Redis", REDIS, "TEST_REDIS", error)
    try:
        with kombu.Connection(RABBITMQ, connect_timeout=10) as client:
            client.ensure_connection(max_retries=1)
    except kombu.exceptions.OperationalError as error:
        return silent("RabbitMQ", RABBITMQ, "TEST_RABBITMQ", error)
    return ""


def silent(server: str, url: str, variable: str, error: object) -> str:
    """That a server does not answer, and what to do."""
    install = f"apt-get install {PACKAGES[server]} and start it, or {variable}=URL"
    return f"no {server} answers at {url}: {install} ({error})"


@contextmanager
def place(*, broker: bool = True) -> Iterator[dict[str, str]]:
    """Environment variables of a new network on the servers; `broker`: it needs Redis too."""
    if not _scaled_out:
        yield {}
        return
    with ExitStack() as made:
        environment = {"DATABASE_URL": made.enter_context(database())}
        if broker:
            url = made.enter_context(redis_database())
            environment |= {"CELERY_BROKER_URL": url}
        yield environment


@contextmanager
def database() -> Iterator[str]:
    """An empty database of our own, dropped afterwards."""
    name = f"dtvn_network_{uuid4().hex[:12]}"
    with psycopg.connect(f"{POSTGRESQL}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield f"{POSTGRESQL}/{name}"
    finally:
        with psycopg.connect(f"{POSTGRESQL}/postgres", autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def redis_database() -> Iterator[str]:
    """An unused numbered Redis database, emptied afterwards."""
    for number in REDIS_NUMBERS:
        client = redis.Redis.from_url(f"{REDIS}/{number}")
        if client.dbsize() == 0 and client.set(CLAIM, uuid4().hex, nx=True, ex=CLAIM_SECONDS):
            break
        client.close()
    else:
        raise RuntimeError(f"every numbered database of {REDIS} is in use")
    try:
        yield f"{REDIS}/{number}"
    finally:
        client.flushdb()
        client.close()
