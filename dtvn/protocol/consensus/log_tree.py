"""The log as an append-only Merkle tree over entry hashes (R26; RFC 6962 section 2.1).

A `Frontier` is the right edge: the roots of the full subtrees, largest first, one per set bit of
`size`. Appending takes O(log n) hashes, and so does the root. `inclusion_path` and `climb` prove that an
entry is at its place in the log that a root covers, so any later checkpoint proves an old outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from dtvn.protocol.canonical import EMPTY_ROOT, node_hash

PATH_LENGTH_MAX = 62
"""Number of hashes in the longest path: a sequence is at most 2^62."""

Subtree = Callable[[int, int], bytes]
"""(level, number) -> root over the 2^level leaves from number * 2^level on."""


class Frontier(msgspec.Struct, frozen=True, array_like=True):
    """Right edge of the tree over `size` leaves; len(peaks) == popcount(size)."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()


def append(frontier: Frontier, leaf: bytes) -> Frontier:
    """The frontier with one more leaf (an entry hash)."""
    return extend(frontier, (leaf,))


def extend(frontier: Frontier, leaves: Iterable[bytes]) -> Frontier:
    """The frontier with these leaves too."""
    peaks = list(frontier.peaks)
    size = frontier.size
    for node in leaves:
        rest = size
        while rest & 1:
            node = node_hash(peaks.pop(), node)
            rest >>= 1
        peaks.append(node)
        size += 1
    return Frontier(size=size, peaks=tuple(peaks))


def root(frontier: Frontier) -> bytes:
    """Merkle tree hash of all leaves appended so far; EMPTY_ROOT if there are none."""
    if not frontier.peaks:
        return EMPTY_ROOT
    node = frontier.peaks[-1]
    for peak in reversed(frontier.peaks[:-1]):
        node = node_hash(peak, node)
    return node


def inclusion_path(index: int, size: int, subtree: Subtree) -> tuple[bytes, ...]:
    """Siblings of leaf `index` in the tree over `size` leaves, from the bottom up (RFC 6962 section 2.1.1).

    `subtree` is called for full subtrees only, at most two per level. Raises ValueError if there is no
    such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + (1 << (end - start - 1).bit_length() - 1)
        if index < split:
            path.append(_range_root(split, end, subtree))
            end = split
        else:
            path.append(_range_root(start, split, subtree))
            start = split
    return tuple(reversed(path))


def climb(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    """The root that `path` leads to from leaf `index` of `size` (RFC 9162 section 2.1.3.2); None if the path
    does not have exactly the required length."""
    if not 0 <= index < size:
        return None
    place, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        place >>= 1
        last >>= 1
    return node if last == 0 else None


def _range_root(start: int, end: int, subtree: Subtree) -> bytes:
    """Root over leaves start..end-1; `start` is a multiple of the power of two that holds them."""
    peaks: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        peaks.append(subtree(level, start >> level))
        start += 1 << level
    node = peaks[-1]
    for peak in reversed(peaks[:-1]):
        node = node_hash(peak, node)
    return node
