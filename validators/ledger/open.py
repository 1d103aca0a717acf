"""Opens a ledger: alias, lock, schema, identity, incarnation, in this order (R10).

This works in any process right after installation, without a prior `migrate`, settings or environment.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec

from dtvn.ledger import LedgerForeign, LedgerTooNew, LedgerUnreachable, Location
from dtvn.protocol.host.ports import JournalError, JournalFull
from validators.ledger import statements
from validators.ledger.journal import Ledger
from validators.ledger.location import add_alias, drop_alias
from validators.ledger.lock import FileLock, make_private_folder
from validators.ledger.meta import Meta, create_meta, read_meta, replace_meta
from validators.ledger.sqlite import SqliteStore, create_database_file
from validators.ledger.store import Store
from validators.ledger.witness import IDENTITY_SIZE, Witness


def open_ledger(
    location: Location | Path | str,
    *,
    cluster_id: bytes,
    alias: str = "ledger",
    expect_existing: bool = False,
    indexed: bool = False,
    witnessed: bool = False,
) -> Ledger:
    """Open, or create, the ledger at `location` for this process alone, and increment its incarnation.

    `location`: a folder (with the SQLite file), or a `Location`. `cluster_id`: 32 bytes. `alias`: its Django
    database alias in this process. `expect_existing`: this replica had a ledger before, so with an empty one
    it follows without voting (R11). `indexed`: give every operation a searchable row (the learner's ledger).
    `witnessed`: this replica votes at once if its witness vouches for the ledger, and not without it (R44).
    Raises LedgerBusy, LedgerForeign, LedgerTooNew, LedgerUnsafe, LedgerUnreachable, JournalFull or
    JournalError, each with a sentence, and then leaves nothing locked or open.
    """
    place = Location.of(location)
    make_private_folder(place.folder)
    with ExitStack() as undo:
        lock = FileLock(place.folder)
        undo.callback(lock.close)
        witness = Witness(place)
        undo.callback(witness.close)
        undo.callback(drop_alias, alias)
        store = connect_store(place, alias)
        undo.callback(store.close)
        existing = _prepare(store, alias, place, cluster_id)
        meta, turn = _enter(
            store, existing, witness, cluster_id, expect_existing=expect_existing, witnessed=witnessed
        )
        store.define(statements.INDEX_STATES if indexed else statements.UNINDEX_STATES)
        store.define(statements.INDEX_KINDS)
        store.define(statements.INDEX_BLOCKED)
        undo.pop_all()
    return Ledger(
        store=store,
        lock=lock,
        witness=witness,
        location=place,
        alias=alias,
        meta=meta,
        turn=turn,
        created=existing is None,
        indexed=indexed,
        witnessed=witnessed,
    )


def connect_store(place: Location, alias: str) -> Store:
    """The store at a place, under a new alias of this process; raises LedgerError, JournalError."""
    if place.url:
        from validators.ledger.postgresql import connect

        return connect(place, add_alias(alias, place))
    try:
        create_database_file(place.database_file)
    except OSError as error:
        raise LedgerUnreachable(f"{place.database_file} cannot be made: {error}.") from error
    wrapper = add_alias(alias, place)
    from django.db import Error

    try:
        wrapper.ensure_connection()
    except Error as error:
        raise LedgerUnreachable(f"{place.database_file} cannot be opened: {error}.") from error
    return SqliteStore(wrapper.connection, place.database_file)


def _prepare(store: Store, alias: str, place: Location, cluster_id: bytes) -> tuple[Meta, int] | None:
    """Refuse the ledger of another cluster or a newer program, then migrate the schema. Returns the old meta
    row, None if there was no ledger."""
    from validators.ledger.models import SCHEMA_VERSION

    found = read_meta(store)
    if found is not None:
        existing = found[0]
        if existing.cluster != cluster_id:
            raise LedgerForeign(
                f"The ledger in {place.name} belongs to cluster {existing.cluster.hex()[:16]}, "
                f"not to {cluster_id.hex()[:16]}."
            )
        if existing.schema > SCHEMA_VERSION:
            raise LedgerTooNew(
                f"The ledger in {place.name} has schema {existing.schema}; this program knows up to "
                f"{SCHEMA_VERSION}. Start the newer program."
            )
    if found is None or found[0].schema < SCHEMA_VERSION:
        migrate_ledger(alias)
    return found


def migrate_ledger(alias: str) -> None:
    """Apply this app's migrations only, under the ledger's lock."""
    from django.db import Error, connections
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connections[alias])
        targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "ledger"]
        executor.migrate(targets)
    except (Error, ValueError) as error:  # ValueError: a damaged row of Django's own table
        raise JournalError(f"The ledger's schema could not be made: {error}.") from error


def _enter(
    store: Store,
    existing: tuple[Meta, int] | None,
    witness: Witness,
    cluster_id: bytes,
    *,
    expect_existing: bool,
    witnessed: bool,
) -> tuple[Meta, int]:
    """Create the meta row, or increment its incarnation; decide whether this ledger may vote (R11)."""
    from validators.ledger.models import FIRST_SCHEMA

    if existing is None:
        lost = expect_existing or witness.seen is not None
        meta, turn = _founded(cluster_id, FIRST_SCHEMA, lost=lost), 0
        store.commit(create_meta(meta), [], durable=True)
    else:
        before, turn = existing
        doubt = _doubt(before, turn, witness, needed=witnessed)
        meta = msgspec.structs.replace(
            before,
            incarnation=before.incarnation + 1,
            voting=before.voting and not doubt,
            voting_reason=before.voting_reason or doubt,
        )
        store.commit(replace_meta(meta, held_by=before.incarnation), [], durable=True)
    try:
        witness.begin(meta.incarnation, vouches=witnessed or existing is None)
        witness.note(meta.identity, turn, synced=witnessed)
        if witnessed:
            witness.sync_name()
    except OSError as error:
        text = f"The ledger's folder cannot be written: {error}."
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise (JournalFull(text) if full else LedgerUnreachable(text)) from error
    return meta, turn


def _founded(cluster_id: bytes, schema: int, *, lost: bool) -> Meta:
    reason = "its ledger was lost and is empty now; what it voted before is not known" if lost else ""
    return Meta(
        cluster=cluster_id,
        identity=os.urandom(IDENTITY_SIZE),
        schema=schema,
        incarnation=1,
        applied_sequence=0,
        applied_timestamp=0,
        voting=not lost,
        voting_reason=reason,
        created_at=time.time_ns() // 1_000,
    )


def _doubt(before: Meta, turn: int, witness: Witness, *, needed: bool) -> str:
    """Why this ledger is not the one that voted last, "" if it is. `needed`: the member waits for nobody's
    word at its start, so that its witness must say that it is (R44)."""
    seen = witness.seen
    if seen is None:
        return _unknown("its witness file is missing or cannot be read") if needed else ""
    if seen.identity != before.identity:
        return _unknown("its ledger was replaced by another one")
    if seen.turns > turn:
        return _unknown(f"its ledger was cut off: it holds {turn} turns of {seen.turns}")
    if needed and seen.incarnation > before.incarnation:
        return _unknown(f"its ledger is an older one, which was started {before.incarnation} times")
    if needed and seen.inode != witness.inode:
        return _unknown("its ledger is another file than when it last ran: it was put back, or moved")
    return ""


def _unknown(what: str) -> str:
    return f"{what}; what it voted before is not known"
