"""The single row with a ledger's cluster and identity, its writer's incarnation, and the sequence of its
rows."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.ledger import LedgerDamaged
from validators.ledger.encoding import checksum
from validators.ledger.store import Store, Write

_COLUMNS = (
    "cluster, identity, schema, incarnation, applied_sequence, applied_timestamp, voting,"
    " voting_reason, created_at"
)


class Meta(msgspec.Struct, frozen=True):
    """The columns of LedgerMeta without the number of turns, which changes with every turn."""

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
    """(the stored row, number of turns), or None if there is no ledger yet.

    Every schema version must keep these columns: they are read before the version is known.
    """
    if not store.has_table("ledger_ledgermeta"):
        return None
    found = store.rows(f"SELECT {_COLUMNS}, turn, checksum FROM ledger_ledgermeta")  # noqa: S608
    if not found:
        return None
    *columns, turn, check = found[0]
    columns[6] = bool(columns[6])
    if checksum(columns) != check or not isinstance(turn, int) or turn < 0:
        raise LedgerDamaged("its own description differs from its checksum")
    return Meta(*columns), turn


def create_meta(meta: Meta) -> Write:
    """Statement that inserts the row."""
    columns = msgspec.structs.astuple(meta)
    return Write(
        f"INSERT INTO ledger_ledgermeta (id, {_COLUMNS}, turn, checksum)"  # noqa: S608
        " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
        [(*columns, checksum(columns))],
    )


def replace_meta(meta: Meta, *, held_by: int) -> Write:
    """Statement that replaces the row if its incarnation is still `held_by` (R10)."""
    columns: tuple[Any, ...] = msgspec.structs.astuple(meta)
    return Write(
        "UPDATE ledger_ledgermeta SET schema = ?, incarnation = ?, applied_sequence = ?,"
        " applied_timestamp = ?, voting = ?, voting_reason = ?, checksum = ?"
        " WHERE id = 1 AND incarnation = ?",
        [(*columns[2:8], checksum(columns), held_by)],
    )


def count_turn(number: int, *, held_by: int) -> Write:
    """Statement that counts a turn if the row's incarnation is still `held_by` (R10)."""
    return Write(
        "UPDATE ledger_ledgermeta SET turn = ? WHERE id = 1 AND incarnation = ?", [(number, held_by)]
    )
