"""Consistent hashing: a key stays with its nodes while nodes come and go (`consistent_hash`)."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from hashlib import sha256

POINTS_PER_NODE = 150


def point_of(text: str) -> int:
    """Place of a key or of a node's point on the ring: the first 8 bytes of SHA-256."""
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big")


class HashRing:
    """Nodes on a ring, each at 150 points."""

    def __init__(self) -> None:
        self._points: list[tuple[int, str]] = []
        self._nodes: set[str] = set()

    def __contains__(self, node: str) -> bool:
        return node in self._nodes

    def add(self, node: str) -> None:
        """Adds a node, unless it is on the ring already."""
        if node not in self._nodes:
            self._nodes.add(node)
            for number in range(POINTS_PER_NODE):
                insort(self._points, (point_of(f"{node}:{number}"), node))

    def remove(self, node: str) -> None:
        """Removes a node; an unknown one is ignored."""
        if node in self._nodes:
            self._nodes.remove(node)
            self._points = [point for point in self._points if point[1] != node]

    def nodes_for(self, key: str) -> Iterator[str]:
        """All nodes, in the order in which they are responsible for `key`."""
        start = bisect_left(self._points, (point_of(key), ""))
        seen: set[str] = set()
        for offset in range(len(self._points)):
            node = self._points[(start + offset) % len(self._points)][1]
            if node not in seen:
                seen.add(node)
                yield node
            if len(seen) == len(self._nodes):
                return
