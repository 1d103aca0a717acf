"""Tickets in the web process: files of abandoned imports are deleted by the clock."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from django.db import DatabaseError, close_old_connections
from prometheus_client.metrics_core import Metric

from tickets.importing.uploads import forget_old

EVERY = 600.0
"""Seconds between two looks; a file is kept for uploads.FILE_KEPT."""
logger = logging.getLogger("dtvn.imports")


def begin() -> None:
    """See WebPart."""
    threading.Thread(target=_sweep, name="imports", daemon=True).start()


def collect() -> Iterable[Metric]:
    """See WebPart."""
    return ()


def sweep_once() -> None:
    """Delete what is due; while the database is away, the next look does."""
    try:
        forget_old()
    except DatabaseError as error:
        logger.warning("files of abandoned imports are not deleted now: %s", error)


def _sweep() -> None:
    pause = threading.Event()
    while True:
        sweep_once()
        close_old_connections()
        pause.wait(EVERY)
