"""The state tree against an obviously correct slow one (R25), and its cost."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.machine.tree import BUCKETS, FAN_OUT, StateTree

SALT = b"cluster"


def slow_root(leaves: dict[bytes, bytes]) -> bytes:
    """The root computed from scratch, by the definition."""
    buckets: list[list[tuple[bytes, bytes]]] = [[] for _ in range(BUCKETS)]
    for key, leaf in leaves.items():
        digest = sha256(b"dtvn/v1/state-key\0" + SALT + key).digest()
        buckets[int.from_bytes(digest[:2], "big")].append((digest[2:18], leaf))
    level = [sha256(b"\x02" + b"".join(leaf for _, leaf in sorted(bucket))).digest() for bucket in buckets]
    while len(level) > 1:
        level = [
            sha256(b"\x01" + b"".join(level[at : at + FAN_OUT])).digest()
            for at in range(0, len(level), FAN_OUT)
        ]
    return level[0]


def leaf(value: int) -> bytes:
    return sha256(value.to_bytes(8, "big")).digest()


class Grown:
    """A tree and what should be in it."""

    def __init__(self) -> None:
        self.tree = StateTree(SALT)
        self.leaves: dict[bytes, bytes] = {}

    def put(self, key: bytes, value: int) -> None:
        new = leaf(value)
        if key in self.leaves:
            self.tree.remove(key, self.leaves[key])
        self.tree.insert(key, new)
        self.leaves[key] = new

    def drop(self, key: bytes) -> None:
        old = self.leaves.pop(key, None)
        if old is not None:
            self.tree.remove(key, old)


def test_an_empty_tree_has_the_root_of_empty_buckets() -> None:
    assert StateTree(SALT).root() == slow_root({})


@settings(max_examples=6, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([bytes([n]) for n in range(40)]), st.integers(0, 5)),
        max_size=80,
    ),
    st.integers(0, 80),
)
def test_any_order_of_changes_gives_the_root_of_their_result(
    steps: list[tuple[bytes, int]], looked_at: int
) -> None:
    grown = Grown()
    for number, (key, value) in enumerate(steps):
        if value:
            grown.put(key, value)
        else:
            grown.drop(key)
        if number == looked_at:
            assert grown.tree.root() == slow_root(grown.leaves)
    assert grown.tree.root() == slow_root(grown.leaves)


def test_a_crowded_bucket_keeps_its_leaves_in_order_of_their_keys() -> None:
    """Leaves of one bucket inserted in two orders, one replaced in place, one removed."""
    keys = crowd(12)
    roots = set()
    for order in (keys, keys[::-1]):
        tree = StateTree(SALT)
        for number, key in enumerate(order):
            place = tree.insert(key, leaf(keys.index(key)))
            if number == 5:
                tree.root()
        tree.replace(place, leaf(keys.index(order[-1])), leaf(99))
        tree.replace(place, leaf(99), leaf(keys.index(order[-1])))
        tree.remove(keys[4], leaf(4))
        roots.add(tree.root())
    left = {key: leaf(number) for number, key in enumerate(keys) if number != 4}
    assert roots == {slow_root(left)}


def crowd(count: int) -> list[bytes]:
    """Keys that share the bucket of the first one."""
    found: list[bytes] = []
    wanted: bytes | None = None
    number = 0
    while len(found) < count:
        key = number.to_bytes(4, "big")
        place = sha256(b"dtvn/v1/state-key\0" + SALT + key).digest()[:2]
        wanted = wanted or place
        if place == wanted:
            found.append(key)
        number += 1
    return found


def test_leaves_that_are_not_there_cannot_be_replaced_or_removed() -> None:
    tree = StateTree(SALT)
    place = tree.insert(b"key", leaf(1))
    for attempt in (
        lambda: tree.replace(place, leaf(2), leaf(3)),
        lambda: tree.remove(b"key", leaf(2)),
    ):
        try:
            attempt()
        except KeyError:
            continue
        raise AssertionError("a leaf was found that nobody put there")


def test_two_clusters_place_the_same_keys_differently() -> None:
    roots = set()
    for salt in (b"one", b"two"):
        tree = StateTree(salt)
        tree.insert(b"key", leaf(1))
        roots.add(tree.root())
    assert len(roots) == 2
