"""The ledger as the engine sees it: its port, its location, and the errors of opening one.

`validators.ledger` implements it with Django's models, in SQLite or PostgreSQL.
"""

from dtvn.ledger.errors import (
    LedgerBusy,
    LedgerDamaged,
    LedgerElsewhere,
    LedgerError,
    LedgerForeign,
    LedgerTooNew,
    LedgerUnreachable,
    LedgerUnsafe,
)
from dtvn.ledger.location import DATABASE_FILE, SCHEMA_NAME, Location
from dtvn.ledger.port import SNAPSHOT_BASE, FindLedger, FoundLedger, NodeLedger, OpenLedger, StoredEvidence

__all__ = [
    "DATABASE_FILE",
    "SCHEMA_NAME",
    "FindLedger",
    "FoundLedger",
    "SNAPSHOT_BASE",
    "LedgerBusy",
    "LedgerDamaged",
    "LedgerElsewhere",
    "LedgerError",
    "LedgerForeign",
    "LedgerTooNew",
    "LedgerUnreachable",
    "LedgerUnsafe",
    "Location",
    "NodeLedger",
    "OpenLedger",
    "StoredEvidence",
]
