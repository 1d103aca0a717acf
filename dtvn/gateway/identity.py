"""The key and name with which a gateway signs, in a file that may change while it runs (R15). I/O.

The key file holds the seed and, after a rotation, the name on the wire that belongs to it. The process that
rotates the key first writes the next key beside it (`.next`), then has the rotation ordered, then moves the
next key into the old one's place. Every gateway that uses the file watches it and switches by itself. A
gateway that no longer reaches the cluster while a next key exists (the rotating process died before its last
step) tries the next key too, and moves it into place when the members accept it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from dtvn.files.whole import put_in_place
from dtvn.net import KeyFileError, public_key_of, read_named_seed
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.genesis import Genesis

LOOK_EVERY = 500_000_000
"""Nanoseconds between two checks of the file."""
TRY_FOR = 3_000_000_000
"""Nanoseconds without a connection to the cluster after which the other key is tried."""


class Identity(msgspec.Struct, frozen=True):
    """A seed, and the name on the wire ("" if genesis gives it)."""

    seed: bytes
    wire: str

    @property
    def public_key(self) -> bytes:
        """The key that the members know."""
        return public_key_of(self.seed)


def next_path(path: Path) -> Path:
    """The file of the next key during a rotation."""
    return path.with_name(f"{path.name}.next")


def read_identity(path: Path) -> Identity:
    """The identity in a key file; raise KeyFileError."""
    return Identity(*read_named_seed(path))


class GenesisKeys:
    """Keys of members and principals as genesis lists them (wire.Keys)."""

    def __init__(self, genesis: Genesis) -> None:
        self._members = tuple(member.public_key for member in genesis.members)
        self._later: dict[int, tuple[bytes, ...]] = {}
        self._principals = {p.name: p.public_key for p in genesis.principals}

    def know(self, wire: str, public_key: bytes) -> None:
        """Add a principal's key that is newer than genesis; raise ValueError if genesis has another one."""
        if self._principals.setdefault(wire, public_key) != public_key:
            raise ValueError(f"the key is not that of principal {wire!r} in this genesis")

    def follow(self, membership: Membership) -> None:
        """Add the member keys of a later epoch."""
        self._later[membership.epoch] = tuple(member.public_key for member in membership.members)

    def member_key(self, epoch: int, index: int) -> bytes | None:
        """See wire.Keys."""
        keys = self._members if epoch == 0 else self._later.get(epoch, ())
        return keys[index] if 0 <= index < len(keys) else None

    def principal_key(self, name: str) -> bytes | None:
        """See wire.Keys."""
        return self._principals.get(name)


class KeyWatch:
    """Watches one key file. `used`: the identity in use."""

    def __init__(self, path: Path, used: Identity) -> None:
        self._path = path
        self.used = used
        self._mark = file_mark(path)
        self._looked_at = 0
        self._reached_at: int | None = None

    def look(self, now: int, reached: bool) -> Identity | None:
        """The identity to switch to; None: keep the one in use. `now`: monotonic nanoseconds; `reached`:
        whether the members accept the one in use."""
        if reached or self._reached_at is None:
            self._reached_at = now
        if now - self._looked_at < LOOK_EVERY:
            return None
        self._looked_at = now
        try:
            return self._other(now, reached)
        except (KeyFileError, OSError):
            return None

    def _other(self, now: int, reached: bool) -> Identity | None:
        following = next_path(self._path)
        mark = file_mark(self._path)
        if mark != self._mark:
            self._mark = mark
            return self._use(read_identity(self._path))
        if not following.exists():
            return None
        upcoming = read_identity(following)
        if reached and self.used == upcoming:
            put_in_place(following, self._path)
            self._mark = file_mark(self._path)
        elif not reached and self._reached_at is not None and now - self._reached_at > TRY_FOR:
            self._reached_at = now
            return self._use(read_identity(self._path) if self.used == upcoming else upcoming)
        return None

    def _use(self, identity: Identity) -> Identity | None:
        if identity == self.used:
            return None
        self.used = identity
        return identity


def file_mark(path: Path) -> tuple[int, int]:
    """A value that changes whenever the file is replaced or removed."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_ino, found.st_mtime_ns)
