"""The Django database alias through which this process reaches the ledger at a location."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings

from dtvn.ledger import Location
from validators.database_url import postgresql_database

LOCK_FILE = "ledger.lock"
WITNESS_FILE = "ledger.turns"
DAMAGE_FILE = "ledger.damaged"
"""Holds what was found beside the work. While it is there, a start checks everything before the node votes:
else a node that is started again would vote until it comes to the same damage."""
BUSY_SECONDS = 5
"""Seconds for which a statement waits for another SQLite writer (such as a shell) before it fails."""


def database_of(location: Location) -> dict[str, Any]:
    """Entry of DATABASES for the writer, which sets the durability settings when it connects."""
    if not location.url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(location.database_file),
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": BUSY_SECONDS},
        }
    database = postgresql_database(location.url, schema=location.schema)
    database["OPTIONS"]["prepare_threshold"] = 3
    database["OPTIONS"].setdefault("connect_timeout", "10")
    return database


def read_only_database_of(location: Location) -> dict[str, Any]:
    """Entry of DATABASES for a reader while the node writes: each transaction sees one snapshot.

    mode=rw never creates an empty file in the ledger's place; query_only refuses every write.
    """
    if not location.url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{location.database_file.absolute().as_uri()}?mode=rw",
            "OPTIONS": {
                "uri": True,
                "timeout": BUSY_SECONDS,
                "init_command": "PRAGMA query_only=ON;",
            },
        }
    database = database_of(location)
    from psycopg import IsolationLevel

    database["OPTIONS"]["options"] += " -c default_transaction_read_only=on"
    database["OPTIONS"]["isolation_level"] = IsolationLevel.REPEATABLE_READ
    database["CONN_HEALTH_CHECKS"] = True
    return database


def prepare_models() -> None:
    """Set up Django in a process without settings (a tool, a helper), with the minimum that models need."""
    import django
    from django.apps import apps

    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        settings.configure(
            INSTALLED_APPS=["validators.ledger"], DATABASES={}, USE_TZ=True, DATABASE_ROUTERS=[]
        )
    if not apps.ready:
        django.setup()


def add_alias(alias: str, location: Location, *, reading: bool = False) -> Any:
    """Make `alias` a Django database of this process and return its connection wrapper. `reading`: the alias
    is read-only, since another process writes the ledger."""
    prepare_models()
    from django.db import connections

    if alias in connections.databases:
        raise ValueError(f"The database alias {alias!r} is in use in this process.")
    complete = connections.configure_settings(
        {"default": {}, alias: read_only_database_of(location) if reading else database_of(location)}
    )
    connections.databases[alias] = complete[alias]
    return connections[alias]


def drop_alias(alias: str) -> None:
    """Close the alias's connection of the calling thread, and remove the alias."""
    from django.db import connections

    if alias in connections.databases:
        connections[alias].close()
        del connections[alias]
        del connections.databases[alias]
