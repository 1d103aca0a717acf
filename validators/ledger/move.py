"""Moves a node's ledger to another place: a file beside the node, or a schema on a server.

The node must be stopped: its lock file, and a schema's lock, are held meanwhile. The rows are copied into a
place of their own, and there read and checked, all of it. Only then does this copy become the
ledger, in one step, and the old one is dropped. An interrupted move is repeated from its beginning: at each
moment the node's settings name exactly one whole ledger. The copy keeps the ledger's identity and turns, so
the witness in the folder fits it, and a left-over of the old place never votes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice

from dtvn.files.whole import put_in_place
from dtvn.ledger import LedgerElsewhere, LedgerUnreachable, Location
from dtvn.protocol.host.ports import JournalError
from validators.ledger.find import PATIENCE, holds_ledger
from validators.ledger.location import drop_alias
from validators.ledger.lock import FileLock, make_private_folder
from validators.ledger.meta import Meta, read_meta
from validators.ledger.open import connect_store, migrate_ledger, open_ledger
from validators.ledger.store import Store
from validators.ledger.witness import Witness

FROM, TO = "moved-from", "moved-to"
"""Database aliases of the two places."""
MAKING = "moving"
"""Folder, and end of a schema's name, of a copy that is not a ledger yet."""
ROWS_AT_ONCE = 2_000
SCHEMA_BYTES_MAX = 63
SIDE_FILES = ("-wal", "-shm")


def move_ledger(source: Location, target: Location, *, settle: Callable[[], None]) -> int:
    """Move the ledger at `source` to `target`, both of one folder; returns the number of rows copied.

    `settle` makes the node's settings name the target; it is called once the target is whole, and its
    effect must be durable. Raises LedgerError, JournalError or OSError, and then `source` is still the
    ledger, unless `settle` was called.
    """
    with _held(source, FROM) as store:
        meta = _meta_of(store, source)
        if holds_ledger(target):
            _check_left_over(meta, target)
            _drop(target)
        making = _place_of_copy(target)
        _clear(making)
        try:
            copied = _copy(making)
            _check(making, meta)
            _put_in_place(making, target)
        finally:
            _clear(making)
        settle()
        _vouch(source, target)
    _drop(source)
    return copied


def _vouch(source: Location, target: Location) -> None:
    """Name the new place in the witness file, if that vouched for the old one (R44)."""
    old, new = Witness(source), Witness(target)
    try:
        if old.seen is not None and old.seen.inode == old.inode:
            store = connect_store(target, TO)
            try:
                meta, turn = _meta_of(store, target)
            finally:
                store.close()
                drop_alias(TO)
            new.begin(meta.incarnation, vouches=True)
            new.note(meta.identity, turn, synced=True)
    finally:
        old.close()
        new.close()


def drop_left_over(ledger: Location, other: Location) -> bool:
    """Drop what an interrupted move left at `other`; False if there is nothing. Raises LedgerElsewhere if
    that is not an older state of `ledger`."""
    if not holds_ledger(other):
        return False
    with _held(ledger, FROM) as store:
        _check_left_over(_meta_of(store, ledger), other)
        _drop(other)
    return True


@contextmanager
def _held(place: Location, alias: str) -> Iterator[Store]:
    """The store at a place, locked as a node locks it."""
    make_private_folder(place.folder)
    with ExitStack() as stack:
        lock = FileLock(place.folder)
        stack.callback(lock.close)
        stack.callback(drop_alias, alias)
        store = connect_store(place, alias)
        stack.callback(store.close)
        yield store


def _meta_of(store: Store, place: Location) -> tuple[Meta, int]:
    found = read_meta(store)
    if found is None:
        raise LedgerElsewhere(f"There is no ledger in {place.name}.")
    return found


def _check_left_over(meta: tuple[Meta, int], place: Location) -> None:
    """Raise LedgerElsewhere unless the ledger at `place` is the same one, and not newer."""
    store = connect_store(place, TO)
    try:
        found, turn = _meta_of(store, place)
    finally:
        store.close()
        drop_alias(TO)
    if found.identity != meta[0].identity or turn > meta[1]:
        raise LedgerElsewhere(
            f"There is another ledger in {place.name}, or a newer state of this one: it is left as it is."
        )


def _place_of_copy(target: Location) -> Location:
    schema = f"{target.schema[: SCHEMA_BYTES_MAX - len(MAKING) - 1]}_{MAKING}" if target.url else ""
    return Location(target.folder / MAKING, target.url, schema)


def _copy(making: Location) -> int:
    """Copy every row of every table; returns their number."""
    from django.apps import apps
    from django.core.management.color import no_style
    from django.db import DatabaseError, connections, transaction

    make_private_folder(making.folder)
    store = connect_store(making, TO)
    copied = 0
    try:
        migrate_ledger(TO)
        models = list(apps.get_app_config("ledger").get_models())
        with transaction.atomic(using=TO):
            for model in models:
                rows = model._default_manager.using(FROM).order_by("pk").iterator(ROWS_AT_ONCE)
                while part := list(islice(rows, ROWS_AT_ONCE)):
                    copied += len(model._default_manager.using(TO).bulk_create(part))
            with connections[TO].cursor() as cursor:
                for statement in connections[TO].ops.sequence_reset_sql(no_style(), models):
                    cursor.execute(statement)
    except DatabaseError as error:
        raise JournalError(f"The ledger could not be copied to {making.name}: {error}.") from error
    finally:
        store.close()
        drop_alias(TO)
    return copied


def _check(making: Location, meta: tuple[Meta, int]) -> None:
    """Read and check all of the copy; raises JournalError."""
    ledger = open_ledger(making, cluster_id=meta[0].cluster, alias=TO, expect_existing=True)
    try:
        ledger.load(whole=True)
        same = (ledger.voting, ledger.voting_reason) == (meta[0].voting, meta[0].voting_reason)
        if ledger.created or not same:
            raise JournalError(f"The copy in {making.name} differs from the ledger.")
    finally:
        ledger.close()


def _put_in_place(making: Location, target: Location) -> None:
    """Make the copy the ledger, durably and in one step."""
    if target.url:
        _on_server(
            target,
            f'DROP SCHEMA IF EXISTS "{target.schema}" CASCADE',
            f'ALTER SCHEMA "{making.schema}" RENAME TO "{target.schema}"',
        )
        return
    _remove_file(target)
    if making.database_file.with_name(f"{making.database_file.name}-wal").exists():
        raise JournalError(f"SQLite did not finish the copy in {making.folder}.")
    with making.database_file.open("rb") as copy:
        os.fsync(copy.fileno())
    put_in_place(making.database_file, target.database_file)


def _drop(place: Location) -> None:
    """Remove the ledger at a place; the folder, its lock and its witness stay."""
    if place.url:
        _on_server(place, f'DROP SCHEMA IF EXISTS "{place.schema}" CASCADE')
    else:
        _remove_file(place)


def _remove_file(place: Location) -> None:
    for name in ("", *SIDE_FILES):
        place.database_file.with_name(f"{place.database_file.name}{name}").unlink(missing_ok=True)


def _clear(making: Location) -> None:
    """Remove what there is of a copy."""
    if making.url:
        _on_server(making, f'DROP SCHEMA IF EXISTS "{making.schema}" CASCADE')
    if making.folder.exists():
        shutil.rmtree(making.folder)


def _on_server(place: Location, *statements: str) -> None:
    """Run statements as one durable transaction."""
    import psycopg

    try:
        with psycopg.connect(place.url, connect_timeout=PATIENCE) as server:
            server.execute("SET LOCAL synchronous_commit = on")
            for statement in statements:
                server.execute(statement.encode())
    except psycopg.Error as error:
        raise LedgerUnreachable(f"PostgreSQL could not change {place.name}: {str(error).strip()}.") from error
