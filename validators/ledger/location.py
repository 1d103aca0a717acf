"""Where a ledger lives, and the Django database alias through which this process reaches it.

A ledger has a folder of its own in every case: lock and witness file are there. Its tables are in an
SQLite file in that folder, or in a PostgreSQL schema of their own.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings

from validators.database_url import postgresql_database
from validators.ledger.errors import LedgerUnreachable

__all__ = [
    "BUSY_SECONDS",
    "DATABASE_FILE",
    "LOCK_FILE",
    "WITNESS_FILE",
    "Location",
    "add_alias",
    "drop_alias",
    "prepare_models",
]

DATABASE_FILE = "ledger.sqlite3"
LOCK_FILE = "ledger.lock"
WITNESS_FILE = "ledger.turns"
SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
BUSY_SECONDS = 5
"""How long a statement waits for a foreign SQLite writer (somebody's shell) before it fails."""


class Location(msgspec.Struct, frozen=True):
    """A folder, and for PostgreSQL a server URL and a schema."""

    folder: Path
    url: str = ""
    """postgresql://user:password@host:port/database, or "" for SQLite."""
    schema: str = ""

    @classmethod
    def of(cls, place: Location | Path | str) -> Location:
        """Accept a folder in place of a location: an SQLite ledger in it."""
        return place if isinstance(place, Location) else cls(folder=Path(place))

    @classmethod
    def choose(cls, folder: Path, *, database_url: str, schema: str) -> Location:
        """SQLite in `folder` without a URL, else the schema on that server (`DATABASE_URL`)."""
        if not database_url:
            return cls(folder=folder)
        return cls(folder=folder, url=database_url, schema=schema)

    def __post_init__(self) -> None:
        if self.url and urlsplit(self.url).scheme not in {"postgresql", "postgres"}:
            raise LedgerUnreachable("A ledger's database URL must start with postgresql://.")
        if self.url and not SCHEMA_NAME.fullmatch(self.schema):
            raise LedgerUnreachable(
                f"A ledger's schema is named by 1 to 63 of a-z, 0-9 and _, not {self.schema!r}."
            )

    @property
    def database_file(self) -> Path:
        """The SQLite file."""
        return self.folder / DATABASE_FILE

    @property
    def name(self) -> str:
        """For messages: the place without any password."""
        return f"schema {self.schema}" if self.url else str(self.folder)

    def database(self) -> dict[str, Any]:
        """Entry of DATABASES. Durability settings are made by the writer when it connects."""
        if not self.url:
            return {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(self.database_file),
                "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": BUSY_SECONDS},
            }
        database = postgresql_database(self.url, schema=self.schema)
        database["OPTIONS"]["prepare_threshold"] = 3
        database["OPTIONS"].setdefault("connect_timeout", "10")
        return database

    def read_only(self) -> dict[str, Any]:
        """Entry of DATABASES for whoever only looks, while the node writes: a transaction sees one moment.

        mode=rw never creates an empty file in the ledger's place, query_only refuses every write.
        """
        if not self.url:
            return {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": f"{self.database_file.absolute().as_uri()}?mode=rw",
                "OPTIONS": {
                    "uri": True,
                    "timeout": BUSY_SECONDS,
                    "init_command": "PRAGMA query_only=ON;",
                },
            }
        database = self.database()
        from psycopg import IsolationLevel

        database["OPTIONS"]["options"] += " -c default_transaction_read_only=on"
        database["OPTIONS"]["isolation_level"] = IsolationLevel.REPEATABLE_READ
        database["CONN_HEALTH_CHECKS"] = True
        return database


def prepare_models() -> None:
    """Make Django ready in a process without settings (a tool, a helper): the least that models need."""
    import django
    from django.apps import apps

    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        settings.configure(
            INSTALLED_APPS=["validators.ledger"], DATABASES={}, USE_TZ=True, DATABASE_ROUTERS=[]
        )
    if not apps.ready:
        django.setup()


def add_alias(alias: str, location: Location, *, reading: bool = False) -> Any:
    """Make `alias` a Django database of this process and return its connection wrapper. `reading`: another
    process writes there; nothing can be written through this alias."""
    prepare_models()
    from django.db import connections

    if alias in connections.databases:
        raise ValueError(f"The database alias {alias!r} is in use in this process.")
    complete = connections.configure_settings(
        {"default": {}, alias: location.read_only() if reading else location.database()}
    )
    connections.databases[alias] = complete[alias]
    return connections[alias]


def drop_alias(alias: str) -> None:
    """Close and forget the alias, in the calling thread."""
    from django.db import connections

    if alias in connections.databases:
        connections[alias].close()
        del connections[alias]
        del connections.databases[alias]
