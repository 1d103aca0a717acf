"""The platform's copy of the log: verified from its first entry on, or removed so that it is built anew."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import psycopg

from dtvn.ledger import DATABASE_FILE, LedgerError, Location
from dtvn.node.replay import verify_copy
from dtvn.node.state_file import StateFileError
from dtvn.protocol import genesis as g
from dtvn.protocol.host.ports import JournalError
from validators.backup import postgresql
from validators.backup.copying import LOG, copy_sqlite
from validators.backup.forms import BackupError
from validators.backup.sources import Source
from validators.ledger import open_ledger
from validators.ledger.location import DAMAGE_FILE, WITNESS_FILE
from validators.ledger.lock import FileLock

FILES = (DATABASE_FILE, f"{DATABASE_FILE}-wal", f"{DATABASE_FILE}-shm", WITNESS_FILE, DAMAGE_FILE)


def verify(source: Source) -> tuple[int, int]:
    """See `verify_copy`. A copy in a file may be in use: a snapshot of it is verified. Raises BackupError."""
    source.check_database()
    genesis = source.genesis()
    place = source.learner
    if place.url:
        return _verified(source, genesis, place)
    if not place.database_file.exists():
        raise BackupError(f"{place.folder} holds no copy of the log.")
    try:
        with tempfile.TemporaryDirectory(prefix=".verify.", dir=source.root) as scratch:
            copy_sqlite(place.database_file, Path(scratch) / DATABASE_FILE, LOG)
            try:
                return _verified(source, genesis, Location(Path(scratch)))
            except BackupError as error:
                raise BackupError(str(error).replace(scratch, str(place.folder))) from error
    except OSError as error:
        raise BackupError(f"{error.filename or source.root}: {error.strerror}.") from error


def remove(source: Source) -> None:
    """Remove the copy of a stopped platform: at its next start the learner takes the log from the members.
    Raises BackupError."""
    source.check_database()
    source.genesis()
    place = source.learner
    if not place.folder.is_dir():
        raise BackupError(f"{place.folder} holds no copy of the log.")
    try:
        lock = FileLock(place.folder)
    except LedgerError as error:
        raise BackupError(f"{error} Stop the platform first (make down).") from error
    try:
        served = bool(place.url) and postgresql.occupied(place.url, place.schema)
        if not served and not place.database_file.exists():
            raise BackupError(f"{place.name} holds no copy of the log.")
        if served:
            with psycopg.connect(place.url, connect_timeout=10) as server:
                server.execute(f'DROP SCHEMA "{place.schema}" CASCADE'.encode())
        for name in FILES:
            with suppress(FileNotFoundError):
                (place.folder / name).unlink()
    except (OSError, psycopg.Error) as error:
        raise BackupError(f"The copy in {place.name} was not removed: {error}.") from error
    finally:
        lock.close()


def _verified(source: Source, genesis: g.Genesis, place: Location) -> tuple[int, int]:
    try:
        ledger = open_ledger(place, cluster_id=g.cluster_id(genesis), alias="verified", indexed=True)
        try:
            return verify_copy(ledger, genesis, began_with=source.places.continued)
        finally:
            ledger.close()
    except (LedgerError, JournalError, StateFileError) as error:
        raise BackupError(str(error)) from error
