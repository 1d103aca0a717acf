"""Why a ledger cannot be opened or used.

JournalError (ports)      a write or read that failed finally: the process must end (R8)
├── JournalFull           the disk is full: the core is rebuilt once it has room again
├── JournalFenced         another process owns this ledger now (R10)
└── LedgerDamaged         the data read back differs from the data written
LedgerError               the ledger was not opened, and nothing was changed
├── LedgerBusy            another process holds its lock (R10: paused or running elsewhere)
├── LedgerForeign         it belongs to another cluster
├── LedgerTooNew          a newer program wrote it
├── LedgerUnsafe          the database would acknowledge writes that a power cut undoes
├── LedgerElsewhere       it is not where the settings say, so an empty one would begin
└── LedgerUnreachable     the database does not answer, or the folder cannot be used
"""

from __future__ import annotations

from dtvn.protocol.host.ports import JournalError


class LedgerError(Exception):
    """A ledger that was not opened; the text is a sentence for the operator."""


class LedgerBusy(LedgerError):
    """Another node, running or paused, holds its lock. The supervisor must not count a restart (R10)."""


class LedgerForeign(LedgerError):
    """The ledger belongs to another cluster."""


class LedgerTooNew(LedgerError):
    """A newer program wrote it: this one does not know its schema version."""


class LedgerUnsafe(LedgerError):
    """The server's settings would lose acknowledged writes in a power cut (R10)."""


class LedgerElsewhere(LedgerError):
    """The node has a ledger, or had one, and the settings name another place."""


class LedgerUnreachable(LedgerError):
    """The database does not answer or the folder cannot be used."""


class LedgerDamaged(JournalError):
    """The data read differs from the data written: a bad disk, or an edited file."""

    def __init__(self, what: str, *, sequence: int | None = None) -> None:
        where = "The ledger is damaged" if sequence is None else f"Entry {sequence} is damaged"
        super().__init__(f"{where}: {what}.")
        self.sequence = sequence
        self.what = what
