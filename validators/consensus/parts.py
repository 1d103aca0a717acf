"""Numbers of what a state travels in: its groups, and the parts of a group that is too large for one answer.

A part is the leaves of a group from one of them on. A question names groups, or parts of one group: that
group twice, then two digits of each part's first leaf. A group named twice asks for nothing otherwise, and
every number stays below GROUPS, which is what the wire lets through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["GROUPS", "LEAVES_MAX", "first_of", "group_of", "is_list", "part", "read", "some", "spell"]

GROUPS = 1_024
LEAVES_MAX = GROUPS * GROUPS
"""Of a group that travels in parts: more have no number."""

LEAF_PIECES_MAX = 2
"""Pieces of an item that is a leaf. A list has one for each bucket of its group."""


def part(group: int, first: int) -> int:
    """The number of the part of a group that begins with this leaf."""
    return group + GROUPS * (first + 1)


def group_of(number: int) -> int:
    """The group that this is, or is a part of."""
    return number % GROUPS


def first_of(number: int) -> int | None:
    """The first leaf of a part, None for a whole group."""
    return number // GROUPS - 1 if number >= GROUPS else None


def some(missing: Iterable[int], without: set[int], count: int) -> tuple[int, ...]:
    """The first numbers of `missing` that one question can name: groups, or parts of one group."""
    found: list[int] = []
    for number in missing:
        if number in without or (found and _kind(number) != _kind(found[0])):
            continue
        found.append(number)
        if len(found) == count:
            break
    return tuple(found)


def spell(numbers: Sequence[int]) -> tuple[int, ...]:
    """What `some` gave, as a question names it."""
    if not numbers or numbers[0] < GROUPS:
        return tuple(numbers)
    group = group_of(numbers[0])
    named = [group, group]
    for number in numbers:
        named += divmod(number // GROUPS - 1, GROUPS)
    return tuple(named)


def is_list(items: Sequence[Sequence[bytes]]) -> bool:
    """Whether this comes in place of a group that travels in parts: no leaf has so many pieces."""
    return len(items) == 1 and len(items[0]) > LEAF_PIECES_MAX


def read(named: Sequence[int]) -> tuple[int, ...]:
    """The numbers that a question names; an odd digit at its end counts for nothing."""
    if len(named) < 2 or named[0] != named[1]:
        return tuple(named)
    digits = zip(named[2::2], named[3::2], strict=False)
    return tuple([part(named[0], high * GROUPS + low) for high, low in digits])


def _kind(number: int) -> int:
    return -1 if number < GROUPS else group_of(number)
