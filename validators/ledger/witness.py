"""A small file beside the ledger with the least number of turns that the ledger must hold.

SQLite silently ends its write-ahead log at the first page whose checksum fails, so one flipped byte there
undoes every later turn: the ledger would be shorter but otherwise intact, and the node would vote again where
it voted before (R11: truncated). This file is written after each turn without a sync. After a power cut it
may be behind the ledger, but never ahead of it: if it is ahead, the ledger was truncated.

A member of a Raft cluster votes at once after a restart, because its ledger is not behind this file (R44). So
there the file is synced at each start and term. It also names the incarnation and the inode of the ledger's
file: what is put back or moved has another one.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import msgspec

from dtvn.ledger import LedgerUnreachable, Location
from validators.ledger.location import WITNESS_FILE

IDENTITY_SIZE = 16
_FIRST = struct.Struct(">16sQI")
"""Identity of the ledger, number of turns, CRC-32 of both: all that release 0.1.0 reads and writes."""
_MORE = struct.Struct(">QQI")
"""Incarnation of the ledger, inode of its file, CRC-32 of these and of `_FIRST`."""
_SIZE = _FIRST.size + _MORE.size


class Seen(msgspec.Struct, frozen=True):
    """What was noted last."""

    identity: bytes
    turns: int
    incarnation: int = 0
    inode: int = 0
    """0, as the incarnation: release 0.1.0 wrote last."""


def seen_in(folder: Path) -> bool:
    """Whether a ledger of this folder was ever witnessed; changes nothing."""
    try:
        return _read((folder / WITNESS_FILE).read_bytes()) is not None
    except OSError:
        return False


def _read(data: bytes) -> Seen | None:
    """What a file's bytes say; None for a new file or one torn by a power cut."""
    if len(data) < _FIRST.size:
        return None
    head, rest = data[: _FIRST.size], data[_FIRST.size :]
    identity, turns, checksum = _FIRST.unpack(head)
    if zlib.crc32(head[:-4]) != checksum:
        return None
    if len(rest) == _MORE.size:
        incarnation, inode, checksum = _MORE.unpack(rest)
        if zlib.crc32(head + rest[:-4]) == checksum:
            return Seen(identity, turns, incarnation, inode)
    return Seen(identity, turns)


def _written(seen: Seen) -> bytes:
    head = _FIRST.pack(seen.identity, seen.turns, 0)[:-4]
    head += zlib.crc32(head).to_bytes(4, "big")
    rest = _MORE.pack(seen.incarnation, seen.inode, 0)[:-4]
    return head + rest + zlib.crc32(head + rest).to_bytes(4, "big")


class Witness:
    """The witness file of a place, open as long as the ledger is."""

    def __init__(self, place: Location) -> None:
        self._ledger = None if place.url else place.database_file
        self._folder = place.folder
        path = place.folder / WITNESS_FILE
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self.seen = _read(os.pread(self._descriptor, _SIZE, 0))
            """What was noted last; None if nothing can be read."""
        except OSError as error:
            raise LedgerUnreachable(f"The file {path} cannot be used: {error}.") from error
        self._incarnation = self._inode = 0

    @property
    def inode(self) -> int:
        """The inode of the ledger's file; for a ledger on a server that of this file. Raises OSError."""
        return os.stat(self._descriptor if self._ledger is None else self._ledger).st_ino

    def begin(self, incarnation: int, *, vouches: bool) -> None:
        """The ledger is open, under this incarnation. `vouches`: its file is the right one, or its member
        will follow; else the inode that was noted stays. Raises OSError."""
        noted = 0 if self.seen is None else self.seen.inode
        self._incarnation, self._inode = incarnation, self.inode if vouches else noted

    def note(self, identity: bytes, turns: int, *, synced: bool = False) -> None:
        """Record that the ledger `identity` has made `turns` turns durable; `synced`: in a file that survives
        a power cut. Raises OSError."""
        os.pwrite(self._descriptor, _written(Seen(identity, turns, self._incarnation, self._inode)), 0)
        if synced:
            os.fsync(self._descriptor)

    def sync_name(self) -> None:
        """Make the file's name durable, since it may be a new file. Raises OSError."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
