"""Checks the servers' addresses in the environment, once for every command, before anything is done.

Messages quote no part of a URL that may hold its password.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

POSTGRESQL = frozenset({"postgres", "postgresql"})
FILE_BROKER = "filesystem"
RABBITMQ = frozenset({"amqp", "amqps", "pyamqp"})
REDIS_SOCKET = "redis+socket"
REDIS = frozenset({"redis", "rediss", REDIS_SOCKET})


def check_addresses(environment: Mapping[str, str]) -> None:
    """Raise ImproperlyConfigured for an address that no server can have; none is contacted."""
    if url := environment.get("DATABASE_URL"):
        _check_database("DATABASE_URL", url, "be unset for SQLite")
    if url := environment.get("DTVN_STORAGE_URL"):
        _check_database("DTVN_STORAGE_URL", url, "be unset for a file of the node")
    # RabbitMQ takes several addresses, of which clients use the first that answers.
    for url in filter(None, environment.get("CELERY_BROKER_URL", "").split(";")):
        _check_broker("CELERY_BROKER_URL", url)


def _check_database(name: str, url: str, otherwise: str) -> None:
    parts = _parts(name, url)
    if parts.scheme not in POSTGRESQL:
        raise ImproperlyConfigured(f"{name} must start with postgresql:// (or {otherwise})")
    if not parts.path.strip("/") and "service=" not in parts.query:
        raise ImproperlyConfigured(f"{name} names no database: postgresql://user:password@host/database")
    from psycopg import ProgrammingError  # only with a server: it takes 0.1 s of every command otherwise
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(url)
    except ProgrammingError as error:
        raise ImproperlyConfigured(f"{name} has an option or a character that libpq does not know") from error


def _check_broker(name: str, url: str) -> None:
    parts = _parts(name, url)
    if parts.scheme not in RABBITMQ | REDIS | {FILE_BROKER}:
        found = parts.scheme or url.partition(":")[0][:20]
        raise ImproperlyConfigured(f"{name}: unknown broker {found!r}; amqp:// and redis:// are known")
    database = parts.path.strip("/")
    if parts.scheme in REDIS - {REDIS_SOCKET} and database and not database.isdecimal():
        raise ImproperlyConfigured(f"{name} names no database by its number: redis://host:port/0")


def _parts(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _no_url(name) from error
    if port == 0 or (parts.scheme and "://" not in url):
        raise _no_url(name)
    return parts


def _no_url(name: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name} is not a valid URL: scheme://host:port/name")
