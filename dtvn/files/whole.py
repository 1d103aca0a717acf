"""Writes files whole or not at all: every file that a crash must not leave half written goes through here.

Not through here: rows of a database, files that only grow (logs, marks of a change), and reports and traces
that a command writes for its caller, who runs it again if it failed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600


@contextmanager
def whole_file(path: Path, *, replace: bool = False, mode: int = PRIVATE) -> Iterator[BinaryIO]:
    """A file to write, which appears as `path` durably at the end of the block, and not at all after an
    exception. Raise FileExistsError if the file exists already, unless `replace`. `mode`: its permissions
    from its first byte on, before the umask."""
    temporary = path.with_name(f".{path.name}.{threading.get_native_id()}")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_private(path: Path, content: bytes, *, replace: bool = False) -> None:
    """Write a file that only its owner can ever read; see `whole_file`."""
    with whole_file(path, replace=replace) as file:
        file.write(content)


def put_in_place(file: Path, path: Path) -> None:
    """Move a complete file to `path` on its file system, durably; it replaces the file that is there."""
    file.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the creation and removal of files in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
