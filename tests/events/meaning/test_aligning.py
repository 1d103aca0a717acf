"""Lists are aligned as well as possible, in a bounded number of steps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dtvn.events.meaning import Aligner, aligning
from tests.support.table import table

ITEMS = st.lists(st.integers(0, 3), max_size=12)


@given(ITEMS, ITEMS, st.sampled_from([0, 20, 200, aligning.STEPS]))
def test_gaps_and_what_is_alike_make_up_both_lists(one: list[int], other: list[int], steps: int) -> None:
    found = Aligner(steps).blocks(one, other)
    assert all(one[a : a + size] == other[b : b + size] for a, b, size in found)
    assert found[-1] == (len(one), len(other), 0)
    rebuilt, kept = [], 0
    for a1, a2, b1, b2 in Aligner(steps).gaps(one, other):
        rebuilt += one[kept:a1] + other[b1:b2]
        kept = a2
    assert rebuilt + one[kept:] == other


@given(ITEMS, ITEMS)
def test_what_is_found_alike_is_the_longest_there_is(one: list[int], other: list[int]) -> None:
    longest = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for a, left in enumerate(one):
        for b, right in enumerate(other):
            skipped = max(longest[a][b + 1], longest[a + 1][b])
            longest[a + 1][b + 1] = longest[a][b] + 1 if left == right else skipped
    assert sum(size for _, _, size in Aligner().blocks(one, other)) == longest[-1][-1]


class Counting(int):
    """A number that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counting.compared += 1
        return int(self) == other

    __hash__ = int.__hash__


@table("size", [500, 5_000, 50_000], count=3)
@table("kind", ["disjoint", "repeated", "long runs on all diagonals"], count=3)
def test_the_work_for_two_lists_is_bounded(size: int, kind: str) -> None:
    one, other = {
        "disjoint": ([*range(size)], [*range(size, 2 * size)]),
        "repeated": ([9, *[1, 2] * (size // 2), 8], [7, *[1, 3] * (size // 2), 6]),
        "long runs on all diagonals": (
            [3, *[1] * size, *range(90, 180)],
            [4, *[1] * size, *range(-90, 0)],
        ),
    }[kind]
    Counting.compared = 0
    Aligner().blocks([*map(Counting, one)], [*map(Counting, other)])
    assert Counting.compared <= 1.5 * aligning.PAIR_STEPS


def test_many_pairs_share_one_bound() -> None:
    aligner = Aligner(10_000)
    Counting.compared = 0
    for _ in range(200):
        aligner.blocks([*map(Counting, range(50))], [*map(Counting, range(100, 150))])
    assert Counting.compared <= 15_000
