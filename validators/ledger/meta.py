"""The one row in which a ledger says whose it is, who may write it and how far its rows are."""

from __future__ import annotations

from typing import Any

import msgspec

from validators.ledger.encoding import checksum
from validators.ledger.errors import LedgerDamaged
from validators.ledger.store import Store, Write

__all__ = ["Meta", "count_turn", "create_meta", "read_meta", "replace_meta"]

_COLUMNS = (
    "cluster, identity, schema, incarnation, applied_sequence, applied_timestamp, voting,"
    " voting_reason, created_at"
)


class Meta(msgspec.Struct, frozen=True):
    """Columns of LedgerMeta, but the number of turns, which changes with every one."""

    cluster: bytes
    identity: bytes
    schema: int
    incarnation: int
    applied_sequence: int
    applied_timestamp: int
    voting: bool
    voting_reason: str
    created_at: int


def read_meta(store: Store) -> tuple[Meta, int] | None:
    """(what is written, turns made), or None where there is no ledger yet.

    Every schema version must keep these columns: they are read before it is known.
    """
    if not store.has_table("ledger_ledgermeta"):
        return None
    found = store.rows(f"SELECT {_COLUMNS}, turn, checksum FROM ledger_ledgermeta")  # noqa: S608
    if not found:
        return None
    *columns, turn, check = found[0]
    columns[6] = bool(columns[6])
    if checksum(columns) != check:
        raise LedgerDamaged("its own description differs from its checksum")
    return Meta(*columns), turn


def create_meta(meta: Meta) -> Write:
    """Insert the row."""
    columns = msgspec.structs.astuple(meta)
    return Write(
        f"INSERT INTO ledger_ledgermeta (id, {_COLUMNS}, turn, checksum)"  # noqa: S608
        " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
        [(*columns, checksum(columns))],
    )


def replace_meta(meta: Meta, *, held_by: int) -> Write:
    """Write all of it, if the ledger is still that of incarnation `held_by` (R10)."""
    columns: tuple[Any, ...] = msgspec.structs.astuple(meta)
    return Write(
        "UPDATE ledger_ledgermeta SET schema = ?, incarnation = ?, applied_sequence = ?,"
        " applied_timestamp = ?, voting = ?, voting_reason = ?, checksum = ?"
        " WHERE id = 1 AND incarnation = ?",
        [(*columns[2:8], checksum(columns), held_by)],
    )


def count_turn(number: int, *, held_by: int) -> Write:
    """Count a turn, if the ledger is still that of incarnation `held_by` (R10)."""
    return Write(
        "UPDATE ledger_ledgermeta SET turn = ? WHERE id = 1 AND incarnation = ?", [(number, held_by)]
    )
