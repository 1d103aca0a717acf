"""What two lists have in common, as in a comparison of lines, in a bounded number of steps."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

EDITS_MAX = 200
"""Most items that may be gone or new between what two lists begin and end with; with more, all between is."""
PAIR_STEPS = 2_000_000
"""Bound of the work for one pair of lists: long lists may have fewer edits."""
STEPS = 20_000_000
"""Bound of the work for one comparison: when it is used up, the rest is compared place by place."""
Block = tuple[int, int, int]
"""A stretch that is alike: place in the first, place in the second, length."""


class Aligner:
    """Aligns lists until its steps are used up."""

    def __init__(self, steps: int = STEPS) -> None:
        self._steps = steps

    def blocks(self, one: Sequence[Hashable], other: Sequence[Hashable]) -> list[Block]:
        """Stretches that are alike, in their order. The last one is empty and stands at both ends."""
        shorter = min(len(one), len(other))
        start = end = 0
        while start < shorter and one[start] == other[start]:
            start += 1
        while end < shorter - start and one[-1 - end] == other[-1 - end]:
            end += 1
        found = [(0, 0, start)] if start else []
        if start + end < shorter:
            inner = self._inner(one[start : len(one) - end], other[start : len(other) - end])
            found += [(start + a, start + b, size) for a, b, size in inner]
        if end:
            found.append((len(one) - end, len(other) - end, end))
        return [*found, (len(one), len(other), 0)]

    def gaps(self, one: Sequence[Hashable], other: Sequence[Hashable]) -> Iterator[tuple[int, int, int, int]]:
        """What is between these stretches: from and to in the first, from and to in the second."""
        a = b = 0
        for first, second, size in self.blocks(one, other):
            if (a, b) != (first, second):
                yield a, first, b, second
            a, b = first + size, second + size

    def _inner(self, one: Sequence[Hashable], other: Sequence[Hashable]) -> list[Block]:
        """The longest common subsequence, by the greedy algorithm of Myers (1986): for each number of edits,
        how far each diagonal leads. No diagonal is walked twice, so the steps are at most those of all
        diagonals together."""
        length = len(one) + len(other)
        most = min(EDITS_MAX, min(PAIR_STEPS, self._steps) // length)
        reached = {1: 0}
        before: list[dict[int, int]] = []
        for edits in range(most + 1):
            before.append(reached.copy())
            self._steps -= 2 * edits + 1
            for diagonal in range(-edits, edits + 1, 2):
                a = _entered(reached, diagonal, edits)
                entered = a
                while a < len(one) and 0 <= a - diagonal < len(other) and one[a] == other[a - diagonal]:
                    a += 1
                self._steps -= a - entered
                reached[diagonal] = a
                if a >= len(one) and a - diagonal >= len(other):
                    return _traced(before, len(one), len(other))
        return []


def _down(reached: dict[int, int], diagonal: int, edits: int) -> bool:
    """Whether the best path with this many edits comes to a diagonal by an item of the second list."""
    return diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1])


def _entered(reached: dict[int, int], diagonal: int, edits: int) -> int:
    """Where in the first list this path comes to the diagonal."""
    down = _down(reached, diagonal, edits)
    return reached[diagonal + 1] if down else reached[diagonal - 1] + 1


def _traced(before: list[dict[int, int]], a: int, b: int) -> list[Block]:
    """The stretches of the path that ends at (a, b), followed back."""
    found: list[Block] = []
    for edits in range(len(before) - 1, -1, -1):
        reached, diagonal = before[edits], a - b
        entered = _entered(reached, diagonal, edits)
        if a > entered:
            found.append((entered, entered - diagonal, a - entered))
        down = _down(reached, diagonal, edits)
        a, b = (entered, entered - diagonal - 1) if down else (entered - 1, entered - diagonal)
    return found[::-1]
