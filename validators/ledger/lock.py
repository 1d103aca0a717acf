"""One writer per ledger: an advisory lock on a file in its folder (R10).

The lock belongs to the open file and ends with its last holder, however that process dies, so a free lock
proves on this host that a node is dead; an expired lease would only be a guess. A process
that forks must close the copy in its child (`FileLock.close`), or the child holds the lock too.

Not the `filelock` package: it empties the file, which names the holder, before it asks for the lock.
Not the record lock of slots (validators.data_folder.locks): it admits a second writer in the same process,
and ends when the process closes any descriptor of the file.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from dtvn.ledger import LedgerBusy, LedgerUnreachable
from validators.ledger.location import LOCK_FILE


class FileLock:
    """An exclusive, non-blocking flock; released by `close` or by the end of the process."""

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK_FILE
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerUnreachable(f"The lock file {path} cannot be used: {error}.") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(self._descriptor)
            os.close(self._descriptor)
            raise LedgerBusy(
                f"The ledger in {folder} is in use by another process{holder}; "
                "it runs or is paused, and is not started a second time."
            ) from error
        # The holder's name only helps readers; the lock works without it, also on a full disk.
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Release the lock; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def make_private_folder(folder: Path) -> None:
    """Create the ledger's folder, accessible to its owner only, and its parents according to the umask."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise LedgerUnreachable(f"The folder {folder} cannot be used: {error}.") from error


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return f" (process {text})" if text.isdigit() else ""
