"""Reads that a gate can do without: while their database is away or hangs, gates go on admitting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, InterfaceError

RETRY_AFTER = 5.0
"""Seconds until the next attempt to read from a database that did not answer: an attempt may take seconds."""

Found = TypeVar("Found")


class Patience:
    """Of one database, in this process."""

    def __init__(self) -> None:
        self._away_until = 0.0

    def read(self, look: Callable[[], Found], otherwise: Found) -> Found:
        """What `look` reads, or `otherwise` while the database does not answer."""
        if time.monotonic() < self._away_until:
            return otherwise
        try:
            return look()
        except (DatabaseError, InterfaceError):
            self._away_until = time.monotonic() + RETRY_AFTER
            return otherwise


copy, platform = Patience(), Patience()
"""The platform's copy of the log; its own tables."""
