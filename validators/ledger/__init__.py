"""A replica's durable log, its votes, and the rows that pages read.

`open_ledger` returns a `Ledger`, which implements `dtvn.ledger.NodeLedger`; `validators.ledger.read` is the
read side, for any database alias. Names are imported lazily: Django imports this package before it can
import models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from validators.ledger.find import find_ledger
    from validators.ledger.journal import Ledger
    from validators.ledger.open import open_ledger

_HOME = {"Ledger": "journal", "find_ledger": "find", "open_ledger": "open"}

__all__ = ["Ledger", "find_ledger", "open_ledger"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
