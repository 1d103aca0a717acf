"""A hash over every range of keys: equal sets of entries have equal roots, whatever the order of changes.

A range is the keys that begin with some hex digits, its *path*. One of at most BUCKET entries is a leaf, any
other has a part for each next digit (a radix tree, Morrison 1968, with the hashes of Merkle 1987), so that
the shape depends on the set of entries alone. Two holders compare roots and descend only where hashes differ:
d changed of n entries cost about d * log16(n / BUCKET) ranges of 16 hashes
(docs/understand/synchronisation.md).
"""

from __future__ import annotations

from bisect import bisect_left, insort

from dtvn.protocol import canonical

BUCKET = 32
"""Most entries of a leaf: fewer make the tree deeper, more send more entries around a changed one."""
DIGITS = "0123456789abcdef"
EMPTY = canonical.tagged_digest("dtvn/v1/sync/leaf", b"")
"""Root of no entries."""

Entry = tuple[bytes, int, bytes]
"""(key, version, hash of the value): of two entries with one key the higher version is the newer one."""


class Tree:
    """A map of keys, all of one length, to (version, hash). The keys stand in one sorted list, so that a
    range is two places in it; the hashes of ranges are computed when they are asked for, and kept."""

    def __init__(self) -> None:
        self._entries: dict[bytes, tuple[int, bytes]] = {}
        self._keys: list[bytes] = []
        self._hashes: dict[str, bytes] = {}
        """Path -> hash, of ranges that did not change since it was computed."""
        self._deepest = 0
        """Length of the longest of these paths so far."""

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def root(self) -> bytes:
        """Hash of all entries, 32 bytes; EMPTY of none."""
        return self.hash_of("")

    def put(self, key: bytes, version: int, value_hash: bytes) -> None:
        """Add an entry or replace the one with this key."""
        if key not in self._entries:
            insort(self._keys, key)
        self._entries[key] = (version, value_hash)
        self._changed(key)

    def remove(self, key: bytes) -> None:
        """Remove the entry with this key, if there is one."""
        if self._entries.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]
            self._changed(key)

    def get(self, key: bytes) -> tuple[int, bytes] | None:
        """(version, hash) of this key."""
        return self._entries.get(key)

    def count(self, path: str) -> int:
        """How many entries a range has."""
        begin, end = self._range(path)
        return end - begin

    def entries(self, path: str) -> list[Entry]:
        """The entries of a range, by key."""
        begin, end = self._range(path)
        return [(key, *self._entries[key]) for key in self._keys[begin:end]]

    def parts(self, path: str) -> list[str]:
        """The paths of the parts of a range that have entries; [] of a leaf, to be compared by its entries.
        Ranges with a single part are passed over: at least two are returned."""
        if self.count(path) <= BUCKET:
            return []
        while True:
            found = [path + digit for digit in DIGITS if self.count(path + digit)]
            if len(found) > 1:
                return found
            path = found[0]

    def hash_of(self, path: str) -> bytes:
        """Hash of a range; EMPTY of one without entries."""
        known = self._hashes.get(path)
        if known is not None:
            return known
        if self.count(path) <= BUCKET:
            whole = b"".join(
                key + version.to_bytes(8) + digest for key, version, digest in self.entries(path)
            )
            found = canonical.tagged_digest("dtvn/v1/sync/leaf", whole)
        else:
            whole = b"".join(self.hash_of(path + digit) for digit in DIGITS)
            found = canonical.tagged_digest("dtvn/v1/sync/node", whole)
        self._hashes[path] = found
        self._deepest = max(self._deepest, len(path))
        return found

    def _changed(self, key: bytes) -> None:
        path = key.hex()
        for length in range(self._deepest + 1):
            self._hashes.pop(path[:length], None)

    def _range(self, path: str) -> tuple[int, int]:
        """Where in the sorted keys a range begins and ends."""
        if not path:
            return 0, len(self._keys)
        begin = bisect_left(self._keys, bytes.fromhex(path + "0" * (len(path) % 2)))
        following = int(path, 16) + 1
        if following >> 4 * len(path):
            return begin, len(self._keys)
        after = format(following, f"0{len(path)}x")
        return begin, bisect_left(self._keys, bytes.fromhex(after + "0" * (len(after) % 2)), begin)
