"""The log as an append-only Merkle tree over entry hashes (PROTOCOL R26; RFC 6962 section 2.1).

A `Frontier` is the right edge: the roots of the full subtrees, largest first, one per set bit of
`size`. Appending is O(log n) hashes, and so is the root.
"""

from __future__ import annotations

import msgspec

from validators.canonical import EMPTY_ROOT, node_hash

__all__ = ["Frontier", "append", "root"]


class Frontier(msgspec.Struct, frozen=True, array_like=True):
    """Right edge of the tree over `size` leaves; len(peaks) == popcount(size)."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()


def append(frontier: Frontier, leaf: bytes) -> Frontier:
    """The frontier with one more leaf (an entry hash)."""
    peaks = list(frontier.peaks)
    size = frontier.size
    node = leaf
    while size & 1:
        node = node_hash(peaks.pop(), node)
        size >>= 1
    peaks.append(node)
    return Frontier(size=frontier.size + 1, peaks=tuple(peaks))


def root(frontier: Frontier) -> bytes:
    """Merkle tree hash of all leaves appended so far; EMPTY_ROOT for none."""
    if not frontier.peaks:
        return EMPTY_ROOT
    node = frontier.peaks[-1]
    for peak in reversed(frontier.peaks[:-1]):
        node = node_hash(peak, node)
    return node
