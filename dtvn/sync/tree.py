"""A hash tree over keys of one length: equal sets of entries have equal roots, whatever the order of changes.

Each inner node covers the keys that begin with its path and has 16 children, one for each next hex digit
(a radix tree, Morrison 1968, with the hashes of Merkle 1987). A node of at most BUCKET entries is a leaf, so
that the shape depends on the set of entries alone. Two holders compare roots and descend only where hashes
differ: d changed of n entries cost about d * log16(n / BUCKET) nodes of 16 hashes
(docs/understand/synchronisation.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from dtvn.protocol import canonical

BUCKET = 32
"""Most entries of a leaf: fewer make the tree deeper, more send more entries around a changed one."""
FANOUT = 16
EMPTY = canonical.tagged_digest("dtvn/v1/sync/leaf", b"")
"""Root of no entries."""

Entry = tuple[bytes, int, bytes]
"""(key, version, hash of the value): of two entries with one key the higher version is the newer one."""


class _Node:
    __slots__ = ("children", "count", "entries", "hash")

    def __init__(self) -> None:
        self.entries: dict[bytes, tuple[int, bytes]] | None = {}
        """Of a leaf; None of an inner node."""
        self.children: list[_Node | None] = []
        self.count = 0
        self.hash: bytes | None = EMPTY
        """None: to be computed."""


class Tree:
    """A map of keys to (version, hash) with a hash of every range of keys."""

    def __init__(self) -> None:
        self._root = _Node()

    def __len__(self) -> int:
        return self._root.count

    @property
    def root(self) -> bytes:
        """Hash of all entries, 32 bytes; EMPTY of none."""
        return _hash_of(self._root)

    def put(self, key: bytes, version: int, value_hash: bytes) -> None:
        """Add an entry or replace the one with this key."""
        path = _path(key)
        new = self.get(key) is None
        node, depth = self._root, 0
        while node.entries is None:
            node.hash, node.count = None, node.count + new
            node, depth = _child(node, path[depth]), depth + 1
        node.entries[key] = (version, value_hash)
        node.hash, node.count = None, node.count + new
        while node.count > BUCKET and node.entries is not None:
            _split(node, depth)
            full = next((each for each in node.children if each is not None and each.count > BUCKET), None)
            if full is None:
                return
            node, depth = full, depth + 1

    def remove(self, key: bytes) -> None:
        """Remove the entry with this key, if there is one."""
        if self.get(key) is None:
            return
        path = _path(key)
        node, depth = self._root, 0
        while True:
            node.hash, node.count = None, node.count - 1
            if node.entries is not None:
                node.entries.pop(key)
                return
            if node.count <= BUCKET:
                kept = {each[0]: each[1:] for each in _entries(node) if each[0] != key}
                node.entries, node.children = kept, []
                return
            node, depth = _child(node, path[depth]), depth + 1

    def get(self, key: bytes) -> tuple[int, bytes] | None:
        """(version, hash) of this key."""
        node, path, depth = self._root, _path(key), 0
        while node.entries is None:
            child = node.children[path[depth]]
            if child is None:
                return None
            node, depth = child, depth + 1
        return node.entries.get(key)

    def hash_of(self, path: str) -> bytes:
        """Hash of the entries whose keys begin with these hex digits; EMPTY of none."""
        node = self._at(path)
        if isinstance(node, list):
            return _leaf_hash(node)
        return _hash_of(node)

    def count(self, path: str) -> int:
        """How many entries have keys that begin with these hex digits."""
        node = self._at(path)
        return len(node) if isinstance(node, list) else node.count

    def entries(self, path: str) -> Iterator[Entry]:
        """The entries whose keys begin with these hex digits, by key."""
        node = self._at(path)
        return iter(node) if isinstance(node, list) else _entries(node)

    def children(self, path: str) -> list[tuple[str, bytes]] | None:
        """(path, hash) of the parts of a range that have entries; None if it is a leaf, to be compared by its
        entries. Ranges with a single part are passed over: at least two are returned."""
        node = self._at(path)
        while not isinstance(node, list) and node.entries is None:
            found = [(digit, child) for digit, child in enumerate(node.children) if child and child.count]
            if len(found) > 1:
                return [(path + format(digit, "x"), _hash_of(child)) for digit, child in found]
            path, node = path + format(found[0][0], "x"), found[0][1]
        return None

    def after(self, key: bytes, count: int) -> list[Entry]:
        """The first `count` entries with a larger key, by key; b"" stands before every key."""
        found: list[Entry] = []
        _collect_after(self._root, key, _path(key), 0, count, found)
        return found

    def _at(self, path: str) -> _Node | list[Entry]:
        """The node of a path, or the entries of a path that ends below a leaf."""
        node, depth = self._root, 0
        while depth < len(path) and node.entries is None:
            child = node.children[int(path[depth], FANOUT)]
            if child is None:
                return []
            node, depth = child, depth + 1
        if depth == len(path):
            return node
        return [each for each in _entries(node) if each[0].hex().startswith(path)]


def _path(key: bytes) -> list[int]:
    return [digit for byte in key for digit in (byte >> 4, byte & 15)]


def _child(node: _Node, digit: int) -> _Node:
    child = node.children[digit]
    if child is None:
        child = node.children[digit] = _Node()
    return child


def _split(node: _Node, depth: int) -> None:
    """Make a leaf an inner node; its children may be too full in their turn."""
    entries, node.entries, node.children = node.entries or {}, None, [None] * FANOUT
    for key, value in entries.items():
        byte = key[depth // 2]
        child = _child(node, byte & 15 if depth % 2 else byte >> 4)
        if child.entries is not None:  # a new child is a leaf
            child.entries[key] = value
        child.count, child.hash = child.count + 1, None
    node.hash = None


def _hash_of(node: _Node) -> bytes:
    if node.hash is None:
        if node.entries is not None:
            node.hash = _leaf_hash(list(_entries(node)))
        else:
            hashes = (EMPTY if child is None else _hash_of(child) for child in node.children)
            node.hash = canonical.tagged_digest("dtvn/v1/sync/node", b"".join(hashes))
    return node.hash


def _leaf_hash(entries: list[Entry]) -> bytes:
    parts = b"".join(key + version.to_bytes(8, "big") + value_hash for key, version, value_hash in entries)
    return canonical.tagged_digest("dtvn/v1/sync/leaf", parts)


def _entries(node: _Node) -> Iterator[Entry]:
    if node.entries is not None:
        for key in sorted(node.entries):
            version, value_hash = node.entries[key]
            yield key, version, value_hash
        return
    for child in node.children:
        if child is not None:
            yield from _entries(child)


def _collect_after(
    node: _Node, key: bytes, path: list[int], depth: int, count: int, found: list[Entry]
) -> None:
    """Append entries of `node` behind `key` until there are `count`; `path` is [] where all are behind."""
    if node.entries is not None:
        behind = (each for each in _entries(node) if each[0] > key)
        found.extend(each for each, _ in zip(behind, range(count - len(found)), strict=False))
        return
    begin = path[depth] if depth < len(path) else 0
    for digit in range(begin, FANOUT):
        child = node.children[digit]
        if len(found) >= count:
            return
        if child is not None:
            _collect_after(child, key, path if digit == begin else [], depth + 1, count, found)
