"""Numbers for the pieces in which a state is transferred: its groups, and the parts of a large group.

A group that is too large for one answer is sent in parts; a part is the group's leaves from a given leaf on.
A question lists either groups, or parts of one group: that group's number twice, then the first leaf of each
part as two digits in base GROUPS. A group number given twice has no other meaning, and every number stays
below GROUPS, which is the limit of the wire format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GROUPS = 1_024
LEAVES_MAX = GROUPS * GROUPS
"""Maximum leaves of a group sent in parts; leaves beyond it cannot be numbered."""

LEAF_PIECES_MAX = 2
"""Maximum byte strings in an item that is a leaf. An item that lists a group's parts has one per bucket of
the group."""


def part(group: int, first: int) -> int:
    """The number of the part of `group` that begins with leaf `first`."""
    return group + GROUPS * (first + 1)


def group_of(number: int) -> int:
    """The group that `number` is, or is a part of."""
    return number % GROUPS


def first_of(number: int) -> int | None:
    """The first leaf of a part, None for a whole group."""
    return number // GROUPS - 1 if number >= GROUPS else None


def some(missing: Iterable[int], without: set[int], count: int) -> tuple[int, ...]:
    """The first `count` numbers of `missing`, except those in `without`, that one question can name: groups,
    or parts of one group."""
    found: list[int] = []
    for number in missing:
        if number in without or (found and _kind(number) != _kind(found[0])):
            continue
        found.append(number)
        if len(found) == count:
            break
    return tuple(found)


def spell(numbers: Sequence[int]) -> tuple[int, ...]:
    """Encodes the numbers returned by `some` for a question; `read` decodes them."""
    if not numbers or numbers[0] < GROUPS:
        return tuple(numbers)
    group = group_of(numbers[0])
    named = [group, group]
    for number in numbers:
        named += divmod(number // GROUPS - 1, GROUPS)
    return tuple(named)


def is_list(items: Sequence[Sequence[bytes]]) -> bool:
    """Whether these items are the list sent in place of a group that is sent in parts: a single item with
    more than LEAF_PIECES_MAX pieces, which no leaf has."""
    return len(items) == 1 and len(items[0]) > LEAF_PIECES_MAX


def read(named: Sequence[int]) -> tuple[int, ...]:
    """Decodes the numbers that a question names. An unpaired digit at the end is ignored."""
    if len(named) < 2 or named[0] != named[1]:
        return tuple(named)
    digits = zip(named[2::2], named[3::2], strict=False)
    return tuple([part(named[0], high * GROUPS + low) for high, low in digits])


def _kind(number: int) -> int:
    return -1 if number < GROUPS else group_of(number)
