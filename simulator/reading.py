"""What frames say and what verifying them gives, worked out once for a whole world: most come to several
members.

Decoding follows from the bytes alone. Verifying follows from the bytes, from who brings them and from the
keys that are looked up; a result counts at another door only where each of these is the same.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from validators.consensus.verified import Header, Peer, Verified
from validators.wire import Envelope
from validators.wire.door import Keys
from validators.wire.envelope import decode_envelope

__all__ = ["AskedKeys", "Reading", "Result"]

KEPT_MAX = 4_000
"""Frames; beyond it all are forgotten."""

Asked = tuple[int, int | str, bytes | None]
"""Epoch, index and key of a member; for a principal -1, name and key."""
PRINCIPAL = -1
Key = TypeVar("Key")
Found = TypeVar("Found")


class AskedKeys:
    """wire.Keys that keeps what it was asked."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.asked: list[Asked] = []

    def member_key(self, epoch: int, index: int) -> bytes | None:
        """See wire.Keys."""
        key = self._keys.member_key(epoch, index)
        self.asked.append((epoch, index, key))
        return key

    def principal_key(self, name: str) -> bytes | None:
        """See wire.Keys."""
        key = self._keys.principal_key(name)
        self.asked.append((PRINCIPAL, name, key))
        return key

    def agree(self, asked: tuple[Asked, ...]) -> bool:
        """Whether another door's questions have the same answers here."""
        keys = self._keys
        for epoch, who, key in asked:
            found = keys.principal_key(who) if isinstance(who, str) else keys.member_key(epoch, who)
            if found != key:
                return False
        return True


class Result(msgspec.Struct, frozen=True, gc=False):
    """Of verifying a frame."""

    peer: Peer
    statements_max: int
    asked: tuple[Asked, ...]
    verified: Verified[Any]


class Reading:
    """One per world."""

    def __init__(self) -> None:
        self.decoded: dict[bytes, tuple[Envelope, Any]] = {}
        self.headers: dict[bytes, Header] = {}
        self.results: dict[bytes, Result] = {}
        self.signed: dict[tuple[bytes, Envelope], bool] = {}
        """Keys and what bears their signature."""

    def read(self, frame: bytes) -> tuple[Envelope, Any]:
        """Envelope and message; raise CanonicalError when it is none."""
        return self.decoded.get(frame) or keep(self.decoded, frame, decode_envelope(frame))


def keep(table: dict[Key, Found], key: Key, found: Found) -> Found:
    """Remember what was found."""
    if len(table) >= KEPT_MAX:
        table.clear()
    table[key] = found
    return found
