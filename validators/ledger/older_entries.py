"""Checks the entries that a start did not read, beside the work: a few in each call, between two turns.

They are right if their chain of hashes leads to the mark after which the start read, and which the newest
stable checkpoint proves. The log is never changed, so the writer's own connection reads them, on SQLite and
PostgreSQL alike.
"""

from __future__ import annotations

from dtvn.ledger import LedgerDamaged
from dtvn.protocol.consensus.ledger_tail import Base
from validators.ledger.log_mark import LogMark
from validators.ledger.log_reading import LOWEST, SELECT_LOG, Chain, check_beside_entries, entry_from_row
from validators.ledger.store import Store

ENTRIES_AT_ONCE = 64
"""Most entries in one call, about 20 microseconds each."""
BYTES_AT_ONCE = 256 * 1024
"""Bytes of batches after which a call reads no further entry: a millisecond or two."""


class OlderEntries:
    """The entries up to the mark `end` of a ledger that was loaded. `base`: its snapshot at that time."""

    def __init__(self, end: LogMark, base: Base | None) -> None:
        self._end = end
        self._last = end.sequence
        self._checked = LOWEST
        self._chain = Chain(LogMark(), base)

    @property
    def done(self) -> bool:
        """Whether all of them are checked."""
        return self._checked >= self._last

    def check_some(self, store: Store) -> None:
        """Check the next few, if any are left; raises LedgerDamaged."""
        if self.done:
            return
        first = self._checked + 1
        count = size = 0
        sql = f"{SELECT_LOG} LIMIT {ENTRIES_AT_ONCE}"
        for row in store.stream(sql, (max(first, 1), self._last)):
            record = entry_from_row(row)
            self._chain.follow(record)
            count += 1
            size += len(record.body)
            if size >= BYTES_AT_ONCE:
                break
        stopped = count == ENTRIES_AT_ONCE or size >= BYTES_AT_ONCE
        last = self._chain.head if stopped else self._last
        if last == self._last:
            self._require_end()
        check_beside_entries(store, first, last)
        self._checked = last

    def _require_end(self) -> None:
        """Raise LedgerDamaged unless the chain ends at the mark."""
        if self._chain.reaches_base(self._last + 1):
            self._chain.go_on_from_base()
        if (self._chain.head, self._chain.head_hash) != (self._last, self._end.entry_hash):
            raise LedgerDamaged(f"it is not the entry before {self._last + 1}", sequence=self._chain.head)
