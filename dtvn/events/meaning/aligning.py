"""What two lists have in common, as in a comparison of lines."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from difflib import SequenceMatcher

PAIRS_MAX = 4_000_000
"""Most pairs of keys that are compared with each other; beyond it, only what both lists begin and end with is
found alike. The time grows with the square of the lengths."""


def blocks(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int, int]]:
    """Stretches that are alike, in their order: (place in the first, place in the second, length). The last
    one is empty and stands at both ends."""
    shorter = min(len(one), len(other))
    start = end = 0
    while start < shorter and one[start] == other[start]:
        start += 1
    while end < shorter - start and one[-1 - end] == other[-1 - end]:
        end += 1
    found = [(0, 0, start)] if start else []
    left, right = one[start : len(one) - end], other[start : len(other) - end]
    if len(left) * len(right) <= PAIRS_MAX:
        matcher = SequenceMatcher(None, left, right, autojunk=False)
        found += [(start + a, start + b, size) for a, b, size in matcher.get_matching_blocks() if size]
    if end:
        found.append((len(one) - end, len(other) - end, end))
    return [*found, (len(one), len(other), 0)]


def gaps(one: Sequence[Hashable], other: Sequence[Hashable]) -> Iterator[tuple[int, int, int, int]]:
    """What is between these stretches: from and to in the first, from and to in the second."""
    a = b = 0
    for first, second, size in blocks(one, other):
        if (a, b) != (first, second):
            yield a, first, b, second
        a, b = first + size, second + size
