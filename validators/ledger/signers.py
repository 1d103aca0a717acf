"""The principals that may sign requests, from a ledger's rows (R15)."""

from __future__ import annotations

from collections.abc import Iterable

from dtvn.machine import Principals, RetiredKey
from dtvn.machine.rows import change_from
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.genesis import Principal
from validators.ledger.models import StateRow
from validators.ledger.state_rows import TABLE_NUMBER

__all__ = ["read_principals"]


def read_principals(using: str, founded: Iterable[Principal]) -> Principals:
    """The principals of genesis (`founded`) with all changes by the log since."""
    retired = [
        (change.key[0], change.row)
        for change in _rows(using, "retired")
        if isinstance(change.row, RetiredKey) and isinstance(change.key[0], str)
    ]
    listed = [change.row for change in _rows(using, "principal") if isinstance(change.row, Principal)]
    found = Principals(founded)
    found.load(listed, retired)
    return found


def _rows(using: str, table: str) -> list[ApplicationChange]:
    first = TABLE_NUMBER[table]
    after = bytes([first[0] + 1])
    rows = StateRow.objects.using(using).filter(key__gt=first, key__lt=after).values_list("key", "row")
    return [change_from(table, bytes(key)[1:], bytes(row)) for key, row in rows]
