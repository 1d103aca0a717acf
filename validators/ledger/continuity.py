"""Which turn of a ledger this machine wrote last: kept in memory that no copy of a disk holds (R11).

A process that died and starts again goes on with the very ledger that it left, unless somebody put an older
one in its place: a copied folder, a volume set back, a snapshot of a virtual disk. These hold every file of
the ledger, its witness too, but not this one: it lies in the kernel's memory (tmpfs) and ends with the
machine's boot, and with an orderly end of the process. Where it is missing nothing is known.

Not noticed: a virtual machine whose memory was set back with its disk, and a ledger that was used elsewhere
while this machine, where its process had died, ran on.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

__all__ = ["Continuity"]

MEMORY = Path("/dev/shm")  # noqa: S108 - the file below is this user's own, or it is not believed
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_FORM = struct.Struct(">36sQQ")
"""Boot id, incarnation, turns; then the CRC-32 of all."""
_SIZE = _FORM.size + 4


class Continuity:
    """The file of one ledger, open for its life. Never a ground to fail: without it `holds` is False."""

    def __init__(self, identity: bytes, folder: Path = MEMORY) -> None:
        self._path = folder / f"dtvn-{os.geteuid()}-{identity.hex()}"
        self._boot = b""
        self._descriptor = -1
        self._seen: tuple[int, int] | None = None
        with suppress(OSError):
            self._boot = BOOT_ID.read_bytes().strip()[:36].ljust(36)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._path, flags, 0o600)
            found = os.fstat(descriptor)
            if found.st_uid != os.geteuid() or found.st_mode & 0o077:
                os.close(descriptor)  # somebody else's: its word is worth nothing
            else:
                self._descriptor = descriptor
                self._seen = self._read()

    def _read(self) -> tuple[int, int] | None:
        data = os.pread(self._descriptor, _SIZE, 0)
        if len(data) != _SIZE or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "big"):
            return None
        boot, incarnation, turns = _FORM.unpack(data[:-4])
        return (incarnation, turns) if boot == self._boot else None

    def holds(self, incarnation: int, turns: int) -> bool:
        """Whether a ledger found at this incarnation, with so many turns, is the one that was left here. It
        may have one turn more: the process died before it could say so, and before it spoke."""
        if self._seen is None:
            return False
        seen, last = self._seen
        return seen == incarnation and last <= turns <= last + 1

    def note(self, incarnation: int, turns: int) -> None:
        """The ledger has made `turns` turns."""
        if self._descriptor >= 0:
            data = _FORM.pack(self._boot, incarnation, turns)
            with suppress(OSError):
                os.pwrite(self._descriptor, data + zlib.crc32(data).to_bytes(4, "big"), 0)

    def close(self, *, forget: bool) -> None:
        """Close the file; `forget`: and remove it. Harmless when done twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            if forget:
                with suppress(OSError):
                    self._path.unlink()
