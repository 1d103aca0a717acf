"""The database interface of a ledger: one fenced transaction per call, and streaming reads.

SQL is written once, with `?` as placeholder, and works on both databases (both know ON CONFLICT).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from dtvn.protocol.host.ports import JournalError

Parameters = Sequence[Any]


class Write(NamedTuple):
    """One statement, executed once per row of parameters."""

    sql: str
    rows: Sequence[Parameters]


class DuplicateKeyError(JournalError):
    """An insert met an existing key; the whole transaction was rolled back."""


class Store(Protocol):
    """A database connection of one ledger, used from one thread."""

    upsert_ticket: str

    def commit(
        self,
        fence: Write,
        writes: Iterable[Write],
        *,
        durable: bool,
        body_bytes: int = 0,
        finish: Callable[[], Sequence[Write]] | None = None,
    ) -> None:
        """Run all writes in one transaction. On return it is on disk or, if not `durable`, will be with the
        next durable one.

        `fence` must change exactly one row; if it changes no row, another process owns the ledger, and
        nothing is written. `body_bytes`: size of the batches among the rows. `finish` is called when
        everything is written but not committed, and returns the last statements. Raises JournalFenced,
        JournalFull, DuplicateKeyError, JournalError.
        """

    def rows(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """All rows at once. Raises JournalError."""

    def stream(self, sql: str, parameters: Parameters = ()) -> Iterator[tuple[Any, ...]]:
        """Rows one by one, in bounded memory; nothing else may use the store meanwhile."""

    def has_table(self, name: str) -> bool:
        """Whether this ledger's database or schema has the table."""

    def check(self, tables: Sequence[str] = ()) -> None:
        """Have the database check its own structure, of all tables or of these. Raises LedgerDamaged."""

    def begin_check(self) -> None:
        """Begin a `check` of all tables beside the work, once in the life of this store."""

    def end_check(self) -> bool:
        """Whether that check has ended, without waiting for it. Raises LedgerDamaged for what it found."""

    def probe(self) -> None:
        """Write dummy data durably. Raises JournalFull, JournalError."""

    def maintain(self) -> None:
        """Run the database's housekeeping outside any turn (R25); cheap if there is nothing to do. Raises
        JournalError if the database is gone."""

    def expect_tickets(self, keys: Sequence[tuple[str, str]]) -> None:
        """Announce that the next commit upserts exactly these tickets (event, id) with `upsert_ticket`."""

    def replaced(self) -> Mapping[str, int]:
        """Ticket counter (`ticket/<state>/<event>`) -> the number of expected tickets that it counted before
        this commit; to be called in `finish`."""

    def on_same_server(self, schemas: Collection[str]) -> set[str]:
        """See NodeLedger."""

    def define(self, sql: str) -> None:
        """Run a statement that changes the schema, outside any transaction."""

    def close(self) -> None:
        """Release what is held besides the alias; may be called twice."""
