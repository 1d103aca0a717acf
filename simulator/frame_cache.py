"""Decoded frames and verification results, computed once for a whole world: most frames reach several
members.

Decoding depends on the bytes alone. Verifying depends on the bytes, on the sending peer and on the keys that
are looked up; a result is reused at another door only if all of these are the same.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from dtvn.protocol.consensus.verified import Header, Peer, Verified
from dtvn.protocol.wire import Envelope, Keys, decode_envelope

KEPT_MAX = 4_000
"""Most results in a table; beyond it the table is emptied."""

Asked = tuple[int, int | str, bytes | None]
"""Epoch, index and key of a member; for a principal -1, name and key."""
PRINCIPAL = -1
Key = TypeVar("Key")
Found = TypeVar("Found")


class AskedKeys:
    """wire.Keys that records the keys it was asked for."""

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
        """Whether the key look-ups of another door give the same keys here."""
        keys = self._keys
        for epoch, who, key in asked:
            found = keys.principal_key(who) if isinstance(who, str) else keys.member_key(epoch, who)
            if found != key:
                return False
        return True


class Result(msgspec.Struct, frozen=True, gc=False):
    """Result of verifying a frame."""

    peer: Peer
    statements_max: int
    asked: tuple[Asked, ...]
    verified: Verified[Any]


class FrameCache:
    """Shared results; one object per world."""

    def __init__(self) -> None:
        self.decoded: dict[bytes, tuple[Envelope, Any]] = {}
        self.headers: dict[bytes, Header] = {}
        self.results: dict[bytes, Result] = {}
        self.signed: dict[tuple[bytes, Envelope], bool] = {}
        """Keys and envelopes whose signature was verified with them."""

    def read(self, frame: bytes) -> tuple[Envelope, Any]:
        """Envelope and message; raise CanonicalError if the frame does not decode."""
        return self.decoded.get(frame) or keep(self.decoded, frame, decode_envelope(frame))


def keep(table: dict[Key, Found], key: Key, found: Found) -> Found:
    """Store `found` in the table and return it."""
    if len(table) >= KEPT_MAX:
        table.clear()
    table[key] = found
    return found
