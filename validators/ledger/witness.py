"""A small file beside the ledger with the least number of turns that the ledger must hold.

SQLite silently ends its write-ahead log at the first page whose checksum fails, so one flipped byte there
undoes every later turn: the ledger would be shorter but otherwise intact, and the node would vote again where
it voted before (R11: truncated). This file is written after each turn without a sync. After a power cut it
may be behind the ledger, but never ahead of it: if it is ahead, the ledger was truncated.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from dtvn.ledger import LedgerUnreachable
from validators.ledger.location import WITNESS_FILE

IDENTITY_SIZE = 16
_FORM = struct.Struct(">16sQI")
"""Identity of the ledger, number of turns, CRC-32 of both."""


def seen_in(folder: Path) -> bool:
    """Whether a ledger of this folder was ever witnessed; changes nothing."""
    try:
        return _read((folder / WITNESS_FILE).read_bytes()) is not None
    except OSError:
        return False


def _read(data: bytes) -> tuple[bytes, int] | None:
    """(identity, turns) in a file's bytes; None for a new file or one torn by a power cut."""
    if len(data) != _FORM.size:
        return None
    identity, turns, checksum = _FORM.unpack(data)
    if zlib.crc32(data[: _FORM.size - 4]) != checksum:
        return None
    return identity, turns


class Witness:
    """The witness file, open as long as the ledger is."""

    def __init__(self, folder: Path) -> None:
        path = folder / WITNESS_FILE
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self.seen = _read(os.pread(self._descriptor, _FORM.size, 0))
            """(identity, turns) that were noted last; None if nothing can be read."""
        except OSError as error:
            raise LedgerUnreachable(f"The file {path} cannot be used: {error}.") from error

    def note(self, identity: bytes, turns: int) -> None:
        """Record that the ledger `identity` has made `turns` turns durable. Raises OSError."""
        head = _FORM.pack(identity, turns, 0)[: _FORM.size - 4]
        os.pwrite(self._descriptor, head + zlib.crc32(head).to_bytes(4, "big"), 0)

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
