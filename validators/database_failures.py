"""What a failed statement says about its database, and the answer to it: only a lock is "busy".

The drivers' codes decide, not Django's classes: SQLite reports a lock, damage and a full disk as the same
class.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import traceback
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from django.db import DataError, IntegrityError, NotSupportedError, ProgrammingError
from django.db.utils import DatabaseErrorWrapper

from dtvn.api.errors import ApiError


class Failure(Enum):
    """Why a statement failed; the value is the code in answers."""

    BUSY = "database_busy"
    DAMAGED = "database_damaged"
    FULL = "disk_full"
    READ_ONLY = "database_read_only"
    MISSING = "database_missing"
    """The database, or a table of it, does not exist."""
    UNOPENED = "database_unopened"
    """Its file cannot be opened, although it is there and its folder takes writes."""
    AWAY = "database_away"
    """Everything else: no connection, an input/output error."""


SUBJECTS = {
    "default": ("The platform's database", "stop the platform and restore a backup (manage.py restore)"),
    "learner": (
        "The platform's copy of the log",
        "stop the platform, run manage.py rebuild_learner, and start it: the copy is built anew",
    ),
    "node": (
        "This node's ledger",
        "stop the node, keep its ledger's folder as evidence, and start it with an empty one",
    ),
}
"""Database alias -> name, and what to do when it is damaged."""
SENTENCES = {
    Failure.BUSY: "{name} is busy; try again.",
    Failure.DAMAGED: "{name} is damaged: {remedy}.",
    Failure.FULL: "{name} has no room left on its disk.",
    Failure.READ_ONLY: "{name} is read-only: its file or folder takes no writes.",
    Failure.MISSING: "{name} has no tables yet; try again.",
    Failure.UNOPENED: "{name} cannot be opened: see its file and folder, and the number of open files.",
    Failure.AWAY: "{name} does not answer; try again.",
}

OWN_FAULTS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
"""Errors that waiting does not cure: bugs of ours, unless the driver's code names what the database lacks."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

_SQLITE = {
    sqlite3.SQLITE_BUSY: Failure.BUSY,
    sqlite3.SQLITE_LOCKED: Failure.BUSY,
    sqlite3.SQLITE_PROTOCOL: Failure.BUSY,  # it gave up after many tries to lock the write-ahead log
    sqlite3.SQLITE_CORRUPT: Failure.DAMAGED,
    sqlite3.SQLITE_NOTADB: Failure.DAMAGED,
    sqlite3.SQLITE_FULL: Failure.FULL,
    sqlite3.SQLITE_READONLY: Failure.READ_ONLY,
}
"""By primary result code, the low byte of the extended one."""
_POSTGRESQL = {
    "55P03": Failure.BUSY,  # lock not available
    "40P01": Failure.BUSY,  # deadlock detected
    "40001": Failure.BUSY,  # serialization failure
    "57014": Failure.BUSY,  # query canceled
    "XX001": Failure.DAMAGED,
    "XX002": Failure.DAMAGED,  # index corrupted
    "53100": Failure.FULL,
    "25006": Failure.READ_ONLY,
    "42P01": Failure.MISSING,  # undefined table
    "3F000": Failure.MISSING,  # invalid schema name
}
"""SQLSTATE -> Failure. Codes, not psycopg's classes: importing psycopg takes 9 MB."""


def failure_of(error: BaseException) -> Failure:
    """What a database's error means; `error` is Django's, with the driver's as its cause."""
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and cause.errno in NO_ROOM:
        return Failure.FULL
    if isinstance(cause, UnicodeDecodeError):  # SQLite quotes a damaged schema, which need not be text
        return Failure.DAMAGED
    if hasattr(cause, "sqlstate"):
        return _POSTGRESQL.get(cause.sqlstate, Failure.AWAY)
    code = getattr(cause, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:  # the write-ahead log's index could not grow
        return Failure.FULL
    if code == sqlite3.SQLITE_ERROR and str(cause).startswith("no such table"):
        return Failure.MISSING
    if code is not None and code & 0xFF == sqlite3.SQLITE_CANTOPEN:
        return _why_unopened(error)
    return Failure.AWAY if code is None else _SQLITE.get(code & 0xFF, Failure.AWAY)


def is_outage(error: BaseException) -> bool:
    """Whether the database failed, and not the statement; `error` is a DatabaseError or InterfaceError."""
    return not isinstance(error, OWN_FAULTS) or failure_of(error) is not Failure.AWAY


def answer_to(error: BaseException) -> ApiError:
    """503, saying which database failed and how."""
    failure = failure_of(error)
    database = _database_of(error)
    name, remedy = SUBJECTS.get("" if database is None else database.alias, SUBJECTS["default"])
    return ApiError(503, failure.value, SENTENCES[failure].format(name=name, remedy=remedy))


def _why_unopened(error: BaseException) -> Failure:
    """Why SQLite could not open a file, or one beside it, which its code does not say."""
    database = _database_of(error)
    if database is None:
        return Failure.UNOPENED
    name = str(database.settings_dict["NAME"])
    made_elsewhere = name.startswith("file:")  # a reader's: it never makes the file
    file = Path(url2pathname(urlsplit(name).path) if made_elsewhere else name)
    with suppress(OSError):  # no rights, or a lost network disk
        if made_elsewhere and not file.exists():
            return Failure.MISSING
    read_only = os.path.isdir(file.parent) and not os.access(file.parent, os.W_OK)
    return Failure.READ_ONLY if read_only else Failure.UNOPENED


def _database_of(error: BaseException) -> Any:
    """The connection whose statement failed, None if unknown: Django's errors carry it only in the frame that
    raised them."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        raiser = frame.f_locals.get("self")
        # Not isinstance, which evaluates a lazy object: with a statement, for the user of a request.
        if type(raiser) is DatabaseErrorWrapper:
            return vars(raiser)["wrapper"]
    return None
