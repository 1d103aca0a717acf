"""Says once that the feed cannot read its rows, however often it tries again."""

from __future__ import annotations

import logging
from time import monotonic
from types import TracebackType

from django.db import DatabaseError, InterfaceError

from validators.database_url import first_line

logger = logging.getLogger("dtvn.feed")


class Outage:
    """A context around each attempt to read, which suppresses every exception. `what`: end of the sentence
    "the feed cannot read ..."."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.lasts = False
        """Whether the newest attempt failed."""
        self._since = 0.0

    @property
    def seconds(self) -> float:
        """Since the first of the failures in a row; 0.0 after an attempt that succeeded."""
        return monotonic() - self._since if self.lasts else 0.0

    def __enter__(self) -> None:
        """See `__exit__`."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Log the first of several failures in a row: an outage of the database as one line, any other error
        with its traceback."""
        lasted, self.lasts = self.lasts, error is not None
        if not isinstance(error, Exception):
            return False
        if not lasted:
            self._since = monotonic()
            known = isinstance(error, DatabaseError | InterfaceError)
            logger.warning(
                "the feed cannot read %s, trying again: %s", self._what, first_line(error), exc_info=not known
            )
        return True
