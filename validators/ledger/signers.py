"""The principals that may sign requests, from a ledger's rows (R15)."""

from __future__ import annotations

from collections.abc import Iterable

from dtvn.machine import Principals
from dtvn.protocol.genesis import Principal
from validators.ledger.read import stored_rows


def read_principals(using: str, founded: Iterable[Principal]) -> Principals:
    """The principals of genesis (`founded`) with all changes by the log since."""
    found = Principals(founded)
    found.load(
        [change.row for change in stored_rows(using, "principal")],
        [(change.key[0], change.row) for change in stored_rows(using, "retired")],
    )
    return found
