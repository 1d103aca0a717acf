"""A group of the state that is too large for one answer is transferred in parts (decision 0166).

The first answer is its *list*: the hashes of its leaves, bucket by bucket in their order, from which the
group's own hash is computed. Each leaf is then checked against the list, so parts may come from different
members, and the sender decides where each part ends. If the group is small after all (a faulty member sent
its list), the answer is the whole group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from dtvn.machine.tree import GROUP_BUCKETS, SIZE, fold
from dtvn.protocol.consensus.application import Item
from dtvn.protocol.consensus.transfer import parts

WHOLE_BYTES_MAX = 8 * 1024 * 1024
"""A group up to this size is sent whole."""
PART_LEAVES = 64
PART_BYTES = 64 * 1024
"""Most bytes of a part, unless its first item alone is larger."""

Leaf = tuple[int, bytes, bytes]
"""(bucket, rank, leaf hash)."""


def large(items: Sequence[Item]) -> bool:
    """Whether these items are too large for one answer."""
    return sum([len(piece) + 8 for item in items for piece in item]) > WHOLE_BYTES_MAX


def size_of(item: Item) -> int:
    """Approximate size of an item on the wire, in bytes."""
    return sum(len(piece) + 8 for piece in item)


def list_of(leaves: Sequence[Leaf], group: int) -> Item:
    """The list of a group with these leaves, given in order."""
    buckets = [bytearray() for _ in range(GROUP_BUCKETS)]
    for place, _rank, leaf in leaves:
        buckets[place - group * GROUP_BUCKETS] += leaf
    return tuple(bytes(bucket) for bucket in buckets)


def read_list(listed: Item, wanted: bytes) -> bytes | None:
    """The leaf hashes in a group's list, concatenated in order; None if they do not hash to `wanted`, the
    group's hash."""
    if len(listed) != GROUP_BUCKETS or any(len(bucket) % SIZE for bucket in listed):
        return None
    if sum(map(len, listed)) > parts.LEAVES_MAX * SIZE:
        return None
    if fold([sha256(b"\x02" + bucket).digest() for bucket in listed]) != wanted:
        return None
    return b"".join(listed)


def part_of(items: Sequence[Item], first: int) -> tuple[Item, ...]:
    """The part of a group that begins with leaf number `first`; () if the group has no such leaf. `items`:
    all items of the group in order."""
    found: list[Item] = []
    room = PART_BYTES
    for item in items[first : _end(first, len(items))]:
        room -= size_of(item)
        if found and room < 0:
            break
        found.append(item)
    return tuple(found)


class Listed:
    """A group whose list was received, and its items received so far."""

    def __init__(self, group: int, leaves: bytes) -> None:
        self._group = group
        self._leaves = leaves
        self._items: dict[int, Item] = {}

    @classmethod
    def begin(cls, group: int, listed: Item, wanted: bytes) -> Listed | None:
        """The group with this list; None if the list does not hash to `wanted`, the group's hash."""
        leaves = read_list(listed, wanted)
        return None if leaves is None else cls(group, leaves)

    def __len__(self) -> int:
        return len(self._leaves) // SIZE

    def missing(self) -> list[int]:
        """Numbers of the parts that have not been received."""
        found = [self.missing_at(block) for block in range(0, len(self), PART_LEAVES)]
        return [number for number in found if number is not None]

    def missing_at(self, leaf: int) -> int | None:
        """Number of the part that begins with the first missing leaf of the block that `leaf` is in; None if
        the block is complete."""
        block = leaf - leaf % PART_LEAVES
        lacking = (leaf for leaf in range(block, _end(block, len(self))) if leaf not in self._items)
        first = next(lacking, None)
        return None if first is None else parts.part(self._group, first)

    def whole(self) -> tuple[Item, ...] | None:
        """All items of the group; None while one is missing."""
        if len(self._items) < len(self):
            return None
        return tuple([self._items[leaf] for leaf in range(len(self))])

    def add(self, first: int, items: Sequence[Item], leaf_of: Callable[[Item], Leaf]) -> bool:
        """Add the items of one part, which begins with leaf number `first`; items received before are
        replaced. Returns False if they do not match the list. Raises what `leaf_of` raises."""
        if not items or first + len(items) > _end(first, len(self)):
            return False
        for at, item in enumerate(items, first):
            if leaf_of(item)[2] != self._leaves[at * SIZE : (at + 1) * SIZE]:
                return False
        self._items.update(enumerate(items, first))
        return True


def _end(first: int, count: int) -> int:
    """The latest possible end of the part with leaf number `first`, in a group of `count` leaves."""
    return min((first // PART_LEAVES + 1) * PART_LEAVES, count)
