"""Snapshots of a store: packed, cut, put together again, and checked whole before anything changes."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import Annotated

import msgspec

from dtvn.protocol import canonical
from dtvn.sync.item import Item, ItemError
from dtvn.sync.messages import CHUNK_BYTES, SNAPSHOT_BYTES_MAX, SNAPSHOT_ITEMS_MAX, Head, SyncError
from dtvn.sync.store import Store, Taken, place_of

COMPRESSED_FROM = 1024
"""Bytes below which compressing is not worth its header (contract 4.5)."""
Items = Annotated[tuple[Item, ...], msgspec.Meta(max_length=SNAPSHOT_ITEMS_MAX)]
"""A list that says to be longer is refused before its items are looked at."""
_GZIP = 31
"""zlib's number for a gzip header, whose time field it leaves 0: equal items give equal bytes."""


def pack(store: Store, *, compression: bool, behind: bool) -> tuple[Head, bytes]:
    """A snapshot of all items, by place; raise SyncError if they are more than a snapshot holds."""
    entries = store.tree.entries("")
    items = tuple(item for key, _version, _hash in entries if (item := store.at(key)) is not None)
    if len(items) > SNAPSHOT_ITEMS_MAX:
        raise SyncError(f"{len(items)} items are more than a snapshot may have, {SNAPSHOT_ITEMS_MAX}")
    body = canonical.encode(items)
    if len(body) > SNAPSHOT_BYTES_MAX:
        raise SyncError(f"{len(body)} bytes are more than a snapshot may have, {SNAPSHOT_BYTES_MAX}")
    compressed = compression and len(body) > COMPRESSED_FROM
    sent = _gzip(body) if compressed else body
    return Head(canonical.digest(body), len(sent), len(body), compressed, behind), sent


def chunk_of(sent: bytes, index: int) -> bytes:
    """One chunk; b"" behind the last."""
    return sent[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]


class Assembly:
    """Puts the chunks of one snapshot together, in order."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def index(self) -> int:
        """The chunk that is due."""
        return len(self._parts)

    @property
    def whole(self) -> bool:
        """Whether all chunks are here."""
        return self._size == self.head.size

    def add(self, index: int, data: bytes) -> None:
        """The chunk that is due; raise SyncError for another one, or of another size than was said."""
        due = min(CHUNK_BYTES, self.head.size - self._size)
        if index != self.index or len(data) != due:
            raise SyncError(f"chunk {index} of {len(data)} bytes where {self.index} of {due} is due")
        self._parts.append(data)
        self._size += len(data)

    def items(self) -> tuple[Item, ...]:
        """The items, once the checksum is right and each stands behind the one before it, so that none is
        there twice; raise SyncError."""
        body = b"".join(self._parts)
        if self.head.compressed:
            body = _gunzip(body, self.head.unpacked)
        if len(body) != self.head.unpacked or canonical.digest(body) != self.head.checksum:
            raise SyncError("snapshot checksum mismatch")
        try:
            items: tuple[Item, ...] = canonical.decode(Items, body)
        except canonical.CanonicalError as error:
            raise SyncError(str(error)) from error
        places = (place_of(item.author, item.kind, item.key) for item in items)
        if any(first >= second for first, second in pairwise(places)):
            raise SyncError("snapshot: items are not in the order of their places")
        return items


def take_all(store: Store, items: tuple[Item, ...], now: int) -> int:
    """Merge a snapshot in, and say how many items were new; raise SyncError, and change nothing, if one of
    them is forged."""
    new = [item for item in items if store.weigh(item, now) is Taken.NEW]
    for item in new:
        try:
            store.proved(item)
        except ItemError as error:
            raise SyncError(f"an item of the snapshot: {error}") from error
    return sum(store.put(item) is Taken.NEW for item in new)


def places_in(items: tuple[Item, ...]) -> set[bytes]:
    """Where the items of a snapshot stand."""
    return {place_of(item.author, item.kind, item.key) for item in items}


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=_GZIP)
    return packer.compress(body) + packer.flush()


def _gunzip(data: bytes, size: int) -> bytes:
    """Unpack at most the bytes that the head says: a small message may unpack to a huge one."""
    unpacker = zlib.decompressobj(wbits=_GZIP)
    try:
        body = unpacker.decompress(data, size + 1)
    except zlib.error as error:
        raise SyncError(f"snapshot: {error}") from error
    if not unpacker.eof or unpacker.unused_data:
        raise SyncError("snapshot: its packed form does not end where it says")
    return body
