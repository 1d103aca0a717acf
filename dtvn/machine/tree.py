"""The state tree: one root over everything that execution reads, cheap to update (R24, R25).

A key's hash gives its bucket (first two bytes) and its rank inside it (the next sixteen: two keys of equal
rank would be kept in the order of insertion, so such keys must be infeasible to find). A bucket is its leaf
hashes in order of rank; its hash is H(0x02, leaves). The 2^16 buckets are the leaves of a tree in which each
inner node is H(0x01, 4 children). The shape depends on the keys alone, never on the order of insertion.

A changed leaf costs one search in some 500 bytes. Hashing waits for `root()`, which visits changed buckets
and the nodes above them only: about 10 hashes for one change, 20,000 for 10,000 changes. Fan-out 4
and not 2 halves the inner hashes; 16 would save a few milliseconds more but double a proof's size.

Keys are hashed together with the cluster's id, so no client can prepare ticket ids that crowd one bucket in
every cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from dtvn.protocol import canonical

BUCKETS = 1 << 16
FAN_OUT = 4
SIZE = canonical.HASH_SIZE
RANK = 16

LEVELS = 8
"""Steps from a bucket to the root: FAN_OUT ** LEVELS == BUCKETS."""
GROUP_LEVEL = 3
GROUP_BUCKETS = FAN_OUT**GROUP_LEVEL
"""Number of buckets in a group: those under one node of the level that state transfer works with."""
GROUPS = BUCKETS // GROUP_BUCKETS
"""Number of groups. Their 1,024 hashes, from which the root follows, are the manifest of a state of any size;
with a million tickets, a group holds about a thousand of them."""

_PLACES = list(range(BUCKETS))
"""One shared int per bucket: a million tickets would otherwise hold a million of them."""


class StateTree:
    """Leaf hashes by key; the callers keep the content of the leaves."""

    def __init__(self, salt: bytes) -> None:
        self.salt = salted(salt)
        self._buckets: dict[int, bytes] = {}
        """Bucket -> the ranks of its leaves in order, then their hashes; a bucket that never had a leaf has
        no entry. One object for both: a million tickets are in all 65,536 buckets."""
        self._changed: set[int] = set()
        self._levels = _EMPTY_LEVELS
        """Copied before the first write: at start two trees are made, and only one is written to, later."""

    def insert(self, key: bytes, leaf: bytes) -> int:
        """Add a leaf under a key without one; returns its bucket, which `replace` takes as `place`."""
        place, rank = self.locate(key)
        bucket = self._buckets.get(place, b"")
        ranks = _ranks_size(bucket)
        at = 0
        while at < ranks and bucket[at : at + RANK] < rank:
            at += RANK
        leaf_at = ranks + at // RANK * SIZE
        self._buckets[place] = bucket[:at] + rank + bucket[at:leaf_at] + leaf + bucket[leaf_at:]
        self._changed.add(place)
        return place

    def replace(self, place: int, old: bytes, new: bytes) -> None:
        """Replace the leaf `old` by `new` in the bucket `place`; raises KeyError if `old` is not in it.

        The first match is the right one: one across two neighbouring hashes, or in the ranks, is infeasible
        to find.
        """
        bucket = self._buckets.get(place, b"")
        at = bucket.find(old)
        if at < 0:
            raise KeyError(old.hex())
        self._buckets[place] = bucket[:at] + new + bucket[at + SIZE :]
        self._changed.add(place)

    def remove(self, key: bytes, leaf: bytes) -> int:
        """Remove the leaf of a key and return its bucket; raises KeyError if the leaf is not in it."""
        place, _ = self.locate(key)
        bucket = self._buckets.get(place, b"")
        at = bucket.find(leaf)
        if at < 0:
            raise KeyError(leaf.hex())
        rank_at = (at - _ranks_size(bucket)) // SIZE * RANK
        self._buckets[place] = bucket[:rank_at] + bucket[rank_at + RANK : at] + bucket[at + SIZE :]
        self._changed.add(place)
        return place

    def groups(self) -> bytes:
        """The hashes of all groups as of the last `root()`, concatenated."""
        return bytes(self._levels[GROUP_LEVEL])

    def siblings(self, place: int) -> tuple[bytes, ...]:
        """The path from a bucket to the root as of the last `root()`: at each level, from below, the three
        sibling hashes joined."""
        found: list[bytes] = []
        for level in self._levels[:-1]:
            first = place // FAN_OUT * FAN_OUT
            beside = [n for n in range(first, first + FAN_OUT) if n != place]
            found.append(b"".join(bytes(level[n * SIZE : (n + 1) * SIZE]) for n in beside))
            place //= FAN_OUT
        return tuple(found)

    def root(self) -> bytes:
        """The root over all leaves, 32 bytes; rehashes what changed since the last call."""
        changed = self._changed
        self._changed = set()
        if changed and self._levels is _EMPTY_LEVELS:
            self._levels = [bytearray(level) for level in _EMPTY_LEVELS]
        hashes = self._levels[0]
        for place in changed:
            at = place * SIZE
            bucket = self._buckets[place]
            hashes[at : at + SIZE] = sha256(b"\x02" + bucket[_ranks_size(bucket) :]).digest()
        width = FAN_OUT * SIZE
        for lower, upper in zip(self._levels, self._levels[1:], strict=False):
            changed = {place // FAN_OUT for place in changed}
            for place in changed:
                at = place * SIZE
                low = place * width
                upper[at : at + SIZE] = sha256(b"\x01" + lower[low : low + width]).digest()
        return bytes(self._levels[-1])

    def locate(self, key: bytes) -> tuple[int, bytes]:
        """(bucket, rank inside it) of a key."""
        return locate(self.salt, key)


def _ranks_size(bucket: bytes) -> int:
    """Bytes of the ranks at the beginning of a bucket."""
    return len(bucket) // (RANK + SIZE) * RANK


def salted(salt: bytes) -> Any:
    """The SHA-256 object, fed with the salt, with which the keys of a cluster's tree are hashed."""
    return sha256(b"dtvn/v1/state-key\0" + salt)


def locate(salt: Any, key: bytes) -> tuple[int, bytes]:
    """(bucket, rank inside it) of a key; `salt` is a result of `salted`."""
    state = salt.copy()
    state.update(key)
    digest = state.digest()
    return _PLACES[int.from_bytes(digest[:2], "big")], digest[2 : 2 + RANK]


def group_hash(group: int, leaves: Iterable[tuple[int, bytes, bytes]]) -> bytes | None:
    """Hash of a group with exactly these (bucket, rank, leaf hash); None if one is outside the group."""
    first = group * GROUP_BUCKETS
    buckets: list[list[bytes]] = [[] for _ in range(GROUP_BUCKETS)]
    for place, _rank, leaf in sorted(leaves):
        if not first <= place < first + GROUP_BUCKETS:
            return None
        buckets[place - first].append(leaf)
    return fold([sha256(b"\x02" + b"".join(leaves)).digest() for leaves in buckets])


def climb(place: int, leaves: Iterable[tuple[int, bytes, bytes]], siblings: Sequence[bytes]) -> bytes | None:
    """The root of a tree whose bucket `place` holds exactly these (bucket, rank, leaf hash); None if one is
    in another bucket or `siblings` is not a valid path."""
    ordered = sorted(leaves)
    if any(bucket != place for bucket, _rank, _leaf in ordered) or len(siblings) != LEVELS:
        return None
    node = sha256(b"\x02" + b"".join(leaf for _bucket, _rank, leaf in ordered)).digest()
    for beside in siblings:
        if len(beside) != (FAN_OUT - 1) * SIZE:
            return None
        at = place % FAN_OUT * SIZE
        node = sha256(b"\x01" + beside[:at] + node + beside[at:]).digest()
        place //= FAN_OUT
    return node


def root_of_groups(groups: bytes) -> bytes:
    """The root of a tree with these group hashes: GROUPS of them, concatenated."""
    return fold([groups[at : at + SIZE] for at in range(0, GROUPS * SIZE, SIZE)])


def is_manifest(groups: bytes, root: bytes) -> bool:
    """Whether these concatenated group hashes are those of the state with this root."""
    return len(groups) == GROUPS * SIZE and root_of_groups(groups) == root


def hash_in(groups: bytes, group: int) -> bytes:
    """The hash of one group in a manifest."""
    return groups[group * SIZE : (group + 1) * SIZE]


def nonempty_groups(groups: bytes) -> list[int]:
    """Numbers of the groups in a manifest that have leaves, ascending."""
    return [group for group in range(GROUPS) if hash_in(groups, group) != EMPTY_GROUP]


def fold(level: list[bytes]) -> bytes:
    """The common ancestor of these nodes of one level; their number is a power of FAN_OUT."""
    while len(level) > 1:
        level = [
            sha256(b"\x01" + b"".join(level[at : at + FAN_OUT])).digest()
            for at in range(0, len(level), FAN_OUT)
        ]
    return level[0]


def _empty_levels() -> list[bytearray]:
    """Levels of a tree of empty buckets, from the buckets up to the root; read-only."""
    node = sha256(b"\x02").digest()
    count = BUCKETS
    levels = [bytearray(node * count)]
    while count > 1:
        node = sha256(b"\x01" + node * FAN_OUT).digest()
        count //= FAN_OUT
        levels.append(bytearray(node * count))
    return levels


_EMPTY_LEVELS = _empty_levels()
EMPTY_GROUP = bytes(_EMPTY_LEVELS[GROUP_LEVEL][:SIZE])
"""Hash of a group without leaves; such a group need not be requested."""
