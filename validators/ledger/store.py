"""What a database must do for a ledger: one fenced transaction per call, and streaming reads.

SQL is written once, with `?` as placeholder, and works on both databases (both know ON CONFLICT).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from validators.ports import JournalError

__all__ = ["DuplicateKeyError", "Store", "Write"]

Parameters = Sequence[Any]


class Write(NamedTuple):
    """One statement, executed once per row of parameters."""

    sql: str
    rows: Sequence[Parameters]


class DuplicateKeyError(JournalError):
    """An insert met an existing key; the transaction was rolled back whole."""


class Store(Protocol):
    """A connection that only its ledger uses, from one thread."""

    vendor: str
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
        """Run all in one transaction; on return it is on disk, or, not `durable`, will be with the next.

        `fence` must change exactly one row; if it changes none another process owns the ledger, and
        nothing is written. `body_bytes`: size of the batches among the rows. `finish` is called when
        all is written but not committed, and gives the last statements. Raises JournalFenced,
        JournalFull, DuplicateKeyError, JournalError.
        """

    def rows(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """All rows at once. Raises JournalError."""

    def stream(self, sql: str, parameters: Parameters = ()) -> Iterator[tuple[Any, ...]]:
        """Rows one by one, in bounded memory; nothing else may use the store meanwhile."""

    def has_table(self, name: str) -> bool:
        """Tell whether this ledger's place has the table."""

    def check(self) -> None:
        """Let the database check its own structure. Raises LedgerDamaged."""

    def probe(self) -> None:
        """Write something that does not matter, durably. Raises JournalFull, JournalError."""

    def maintain(self) -> None:
        """Housekeeping of the database outside any turn (R25); cheap when there is nothing to do."""

    def expect_tickets(self, keys: Sequence[tuple[str, str]]) -> None:
        """The next commit upserts exactly these tickets (event, id), with the statement `upsert_ticket`."""

    def replaced(self) -> Mapping[str, int]:
        """Ticket counter (`ticket/<state>/<event>`) to the number of expected tickets that were under it
        before this commit; to be asked in `finish`."""

    def define(self, sql: str) -> None:
        """Run a statement that changes the schema, outside any transaction of ours."""

    def close(self) -> None:
        """Release what is held beside the alias; harmless when done twice."""
