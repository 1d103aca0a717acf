"""Kernel locks that show which process runs a node, since a lease can only expire.

The process that runs a node holds a POSIX record lock on the node's slot file until it ends, for whatever
reason. A query does not take the lock (F_GETLK): a probe that held it briefly could reject a node that starts
at that moment. The lock is not inherited by helper processes.

Not a `flock` as on ledgers (validators.ledger.lock): that cannot be asked for its holder without taking it,
and forked helpers would keep it.
"""

import errno
import fcntl
import os
import struct
from pathlib import Path

# struct flock of Linux on 64 bits: type, whence, start, length, pid.
_FLOCK = struct.Struct("hhqqi4x")


def lock_holder(path: Path) -> int | None:
    """Process id that holds the record lock on `path`; None if no process does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else pid


def heartbeat(path: Path) -> int:
    """Time of the holder's last heartbeat: only a change of it has a meaning. 0 without a file."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


class RecordLock:
    """A POSIX record lock on a file, kept until the process that took it ends.

    The lock is released when *any* descriptor of the file is closed in the process, so no other code in that
    process may open this file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> bool:
        """True if this process holds it now; False if another one does."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EAGAIN}:
                return False
            raise
        return True

    def release(self) -> None:
        os.close(self._descriptor)


class SlotLock(RecordLock):
    """Taken by the process that runs a node."""

    def show_life(self) -> None:
        """Touch the file: its modification time is the heartbeat, which needs no database and no disk
        space."""
        os.utime(self._descriptor)


def process_lives(pid: int) -> bool:
    """True while a process with this id exists and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
    except OSError:
        return True
    return state.split()[:1] != ["Z"]
