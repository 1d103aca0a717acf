"""Files that tell the other processes of a data folder of a change in the database, at the cost of a stat."""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


def note_change(path: Path) -> None:
    """Make `change_mark` of this file another one: called once the change can be read."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b".")
    except OSError as error:
        logger.warning("%s: %s; other processes see changes a moment later", path, error)


def change_mark(path: Path) -> tuple[int, int]:
    """Changes with every `note_change`."""
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_ino, found.st_size)
