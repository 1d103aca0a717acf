"""The final write of a task, for which nobody may have needed the database for minutes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connection

from validators.database_failures import is_outage
from validators.database_url import first_line
from validators.processes import stopping

PATIENCE = 60.0
"""Seconds within which it must succeed."""
PAUSE = 1.0

logger = logging.getLogger("dtvn.tasks")


def write_last_word(write: Callable[[], object], what: str) -> None:
    """Write the end of `what`, again and again while the database is locked or unreachable; raise its error
    after PATIENCE, or when told to stop."""
    since, pause = time.monotonic(), threading.Event()
    while True:
        try:
            write()
            return
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            if not is_outage(error) or stopping.requested() or time.monotonic() - since > PATIENCE:
                raise
            logger.warning("the end of %s is not written yet: %s", what, first_line(error))
            pause.wait(PAUSE)
