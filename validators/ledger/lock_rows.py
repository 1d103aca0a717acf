"""Locks and their queues in a ledger's rows: read by key, in pages."""

from __future__ import annotations

from collections import Counter

from django.db.models import QuerySet

from dtvn.api.lock_lists import LocksQuery, lock_object
from dtvn.api.reads import Page
from dtvn.machine.rows import LockRow, WaiterRow
from dtvn.protocol import canonical
from validators.ledger.models import StateRow
from validators.ledger.state_rows import TABLE_NUMBER

PARTS = {"lock": 2, "waiter": 4}
"""Number of parts of a row's key."""

Key = tuple[str, str]
"""(event, name)."""


class LockReader:
    """A LockLedger over the tables of a ledger."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def list_locks(self, query: LocksQuery) -> Page:
        """See LockLedger."""
        rows = self._rows("lock", query.event)
        if query.name:
            rows = rows.filter(key=_key("lock", query.event, query.name))
        total = rows.count()
        if query.after:
            rows = rows.filter(key__gt=_key("lock", query.event, query.after))
        found = list(rows[: query.limit + 1])
        waiters = self.waiters(query.event)
        items = [lock_object(*key, row, waiters[key]) for key, row in map(_decoded, found[: query.limit])]
        return Page(items, total, len(found) > query.limit)

    def read_lock(self, event: str, name: str) -> LockRow | None:
        """See LockLedger."""
        found = self._rows("lock", event).filter(key=_key("lock", event, name)).first()
        return None if found is None else _decoded(found)[1]

    def all_locks(self, limit: int, after: bytes) -> tuple[list[tuple[Key, LockRow]], bytes]:
        """A page of the locks of all events after this key (b"": the first page), and its last key (b"" if it
        is the last)."""
        found = list(self._rows("lock").filter(key__gt=after)[: limit + 1])
        shown = found[:limit]
        return [_decoded(row) for row in shown], bytes(shown[-1].key) if len(found) > limit else b""

    def waiters(self, event: str = "") -> Counter[Key]:
        """Length of each queue, of one event or of all. The machine bounds the number of waiters."""
        keys = self._rows("waiter", event).values_list("key", flat=True)
        return Counter(canonical.decode(tuple, bytes(key)[1:])[:2] for key in keys)

    def queue(self, key: Key) -> list[WaiterRow]:
        """The waiters for one lock, in order."""
        prefix = _prefix("waiter") + canonical.encode(key[0]) + canonical.encode(key[1])
        rows = StateRow.objects.using(self._alias).filter(key__gt=prefix, key__lt=_after(prefix))
        found = [(canonical.decode(tuple, bytes(row.key)[1:])[2:], bytes(row.row)) for row in rows]
        return [canonical.decode(WaiterRow, row) for _place, row in sorted(found)]

    def _rows(self, table: str, event: str = "") -> QuerySet[StateRow]:
        prefix = _prefix(table) + (canonical.encode(event) if event else b"")
        rows = StateRow.objects.using(self._alias).filter(key__gt=prefix, key__lt=_after(prefix))
        return rows.order_by("key")


def _prefix(table: str) -> bytes:
    """What all keys of the table begin with: its number, and the head of a tuple of this length."""
    return TABLE_NUMBER[table] + canonical.encode((None,) * PARTS[table])[:1]


def _key(table: str, event: str, name: str) -> bytes:
    return TABLE_NUMBER[table] + canonical.encode((event, name))


def _after(prefix: bytes) -> bytes:
    """The first bytes above all those with this prefix, which does not end in 0xff."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _decoded(row: StateRow) -> tuple[Key, LockRow]:
    event, name = canonical.decode(tuple, bytes(row.key)[1:])
    return (event, name), canonical.decode(LockRow, bytes(row.row))
