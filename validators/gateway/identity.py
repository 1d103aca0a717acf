"""Under which key, and which name, a gateway signs: a file that may change while it runs (R15). I/O.

The key file holds the seed and, after a rotation, the name on the wire that belongs to it. Whoever rotates
the key writes the next one beside it first (`.next`), then has it ordered, then puts it in the old one's
place. Every gateway of the folder looks at the file and goes over by itself. One that cannot reach the
cluster any more while a next key lies there (whoever ordered it died before the last step) tries that too,
and puts it in place when the members let it in.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from validators.link import KeyFileError, public_key_of, read_named_seed, sync_folder

__all__ = ["Identity", "KeyWatch", "next_path", "read_identity"]

LOOK_EVERY = 500_000_000
"""Nanoseconds between two looks at the file."""
TRY_FOR = 3_000_000_000
"""Nanoseconds without the cluster after which the other key is tried."""


class Identity(msgspec.Struct, frozen=True):
    """A seed, and the name on the wire ("" where genesis says it)."""

    seed: bytes
    wire: str

    @property
    def public_key(self) -> bytes:
        """The key that the members know."""
        return public_key_of(self.seed)


def next_path(path: Path) -> Path:
    """Where the next key lies while it is being rotated."""
    return path.with_name(f"{path.name}.next")


def read_identity(path: Path) -> Identity:
    """Whose key is in a file; raise KeyFileError."""
    return Identity(*read_named_seed(path))


class KeyWatch:
    """Owns the look at one key file. `used`: what was read of it last."""

    def __init__(self, path: Path, used: Identity) -> None:
        self._path = path
        self.used = used
        self._mark = _mark(path)
        self._looked_at = 0
        self._reached_at: int | None = None

    def look(self, now: int, reached: bool) -> Identity | None:
        """The identity to go over to, if another one. `now`: monotonic nanoseconds; `reached`: whether the
        members let this one in."""
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
        mark = _mark(self._path)
        if mark != self._mark:
            self._mark = mark
            return self._use(read_identity(self._path))
        if not following.exists():
            return None
        upcoming = read_identity(following)
        if reached and self.used == upcoming:
            os.replace(following, self._path)
            sync_folder(self._path.parent)
            self._mark = _mark(self._path)
        elif not reached and self._reached_at is not None and now - self._reached_at > TRY_FOR:
            self._reached_at = now
            return self._use(read_identity(self._path) if self.used == upcoming else upcoming)
        return None

    def _use(self, identity: Identity) -> Identity | None:
        if identity == self.used:
            return None
        self.used = identity
        return identity


def _mark(path: Path) -> tuple[int, int]:
    """Differs after every replacement of a file."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_ino, found.st_mtime_ns)
