"""Parts: the clock, values, parts of replicated types, what a node refuses to write, the overlay's face."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import msgspec
import pytest

from dtvn.files.kept import FolderError
from dtvn.gateway.state_store import NodeState
from dtvn.protocol import canonical
from dtvn.sync import (
    AHEAD_US_MAX,
    CarriedStore,
    HybridClock,
    Item,
    ItemError,
    Kind,
    check_value,
    checked,
    value_bytes,
    view_of,
)
from dtvn.sync.crdt import (
    ELEMENTS_MAX,
    CounterPart,
    ORSet,
    SetPart,
    added_to,
    counter_of,
    removed_from,
    set_of,
    set_part,
)
from dtvn.sync.messages import Root, decode
from dtvn.sync.views import ConflictResolution
from tests.support.table import table
from tests.sync.support import CLUSTER, KINDS, NOW, SECOND, item, key_of, secret

ANN, BOB = key_of("ann"), key_of("bob")


def test_a_hybrid_clock_is_later_than_all_it_saw_but_the_far_future() -> None:
    clock = HybridClock()
    assert clock.tick(NOW) == NOW
    assert clock.tick(NOW) == NOW + 1
    clock.see(NOW + SECOND, NOW)
    assert clock.tick(NOW + 5) == NOW + SECOND + 1
    assert clock.tick(NOW + 2 * SECOND) == NOW + 2 * SECOND
    clock.see(NOW + AHEAD_US_MAX + 1, NOW)
    assert clock.tick(NOW + 2 * SECOND) == NOW + 2 * SECOND + 1


@table("value", [b'{"b":1,"a":2}', b'{"a": 1}', b"{", b"\xff", b"[" * 40 + b"]" * 40], count=5)
def test_a_value_is_canonical_json_and_not_nested_too_deeply(value: bytes) -> None:
    with pytest.raises(ItemError, match="value"):
        check_value(item(value=value))


def test_values_are_what_json_says() -> None:
    assert value_bytes({"b": [1, None], "a": "ä"}) == '{"a":"ä","b":[1,null]}'.encode()
    check_value(item(value=value_bytes({"b": [1, 2.5], "a": {}})))
    with pytest.raises(ItemError, match="value"):
        value_bytes(object())
    with pytest.raises(ValueError, match="needs a resolver"):
        view_of([item(value=b"1")], ConflictResolution.CUSTOM)
    assert view_of([], ConflictResolution.LAST_WRITE) is None


def test_an_item_whose_author_is_no_key_or_whose_tombstone_has_a_value_is_refused() -> None:
    with pytest.raises(ItemError, match="author"):
        checked(CLUSTER, msgspec.structs.replace(item(), author=bytes(32)))
    with pytest.raises(ItemError, match="tombstone"):
        checked(CLUSTER, msgspec.structs.replace(item(), deleted=True))


def part(author: str, value: object) -> Item:
    return item(author, value=canonical.encode(value))


def test_a_counter_is_the_sum_of_its_parts() -> None:
    assert counter_of([]) == 0
    assert counter_of([part("ann", CounterPart(5, 1)), part("bob", CounterPart(2, 4))]) == 2
    assert counter_of([part("ann", CounterPart(5, 1)), item("bob", deleted=True)]) == 4
    with pytest.raises(ItemError, match="value"):
        counter_of([item(value=b"x")])


def test_a_set_forgets_removals_once_their_authors_have_dropped_them() -> None:
    ann = added_to(added_to(SetPart(0), "x"), "y")
    whole = set_of([part("ann", ann)])
    bob = removed_from(SetPart(0), BOB, whole, "x")
    assert bob.removed == ((ANN, 0),)
    both = set_of([part("ann", ann), part("bob", bob)])
    assert both.value == {"y"}
    dropped = removed_from(ann, ANN, both, "x")
    assert dropped == SetPart(2, (("y", 1),))
    later = set_of([part("ann", dropped), part("bob", bob)])
    assert removed_from(bob, BOB, later, "z").removed == ()


def test_what_was_removed_stays_so_when_something_else_is_removed() -> None:
    ann = added_to(added_to(added_to(SetPart(0), "x"), "y"), "z")
    bob = cat = SetPart(0)
    for element, left in (("x", {"y", "z"}), ("y", {"z"}), ("w", {"z"})):
        bob = removed_from(bob, BOB, set_of([part("ann", ann), part("bob", bob)]), element)
        whole = set_of([part("ann", ann), part("bob", bob)])
        assert whole.value == left
    assert removed_from(cat, key_of("cat"), whole, "x").removed == (), "another one remembers it"


class Nodes:
    """Three nodes that see each other's writes at once."""

    def __init__(self) -> None:
        names = {key_of(name): name for name in ("ann", "bob", "cat")}
        self.all = [
            NodeState(CLUSTER, secret(name)[:32], names, ConflictResolution.LAST_WRITE)
            for name in names.values()
        ]

    def add(self, node: int, element: str) -> None:
        self.all[node].add("k", element)
        self.seen(node)

    def remove(self, node: int, element: str) -> None:
        self.all[node].remove("k", element)
        self.seen(node)

    def seen(self, node: int) -> None:
        for other in self.all:
            other.apply(self.all[node].snapshot({}))

    @property
    def members(self) -> list[frozenset[str]]:
        return [each.members("k") for each in self.all]


def node(folder: Path | None = None, *, now: int = NOW, name: str = "ann") -> NodeState:
    names = {key_of(each): each for each in ("ann", "bob")}
    resolution = ConflictResolution.LAST_WRITE
    return NodeState(CLUSTER, secret(name)[:32], names, resolution, folder=folder, now=lambda: now)


def test_r46_a_key_written_with_a_clock_far_ahead_waits_until_then(
    tmp_path: Path,
) -> None:
    ahead = node(tmp_path, now=NOW + AHEAD_US_MAX + SECOND)
    ahead.put("k", "of the future")
    ahead.close()
    corrected = node(tmp_path)
    assert corrected.get("k") is None
    with pytest.raises(ItemError, match=r"said 2027-01-15 08:10:01\+00:00, which is later"):
        corrected.put("k", 1)
    other = corrected.put("other", 1)
    assert other.version == NOW, "it moves no clock"
    corrected.close()
    later = node(tmp_path, now=NOW + 2 * SECOND)
    found = later.get("k")
    assert found is not None
    assert (found.value, later.put("k", 2).value) == ("of the future", 2)
    later.close()


def test_one_key_more_than_a_node_may_have_is_refused_and_no_other_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dtvn.gateway.state_store.AUTHOR_ITEMS_MAX", 3)
    full = node()
    for key in "abc":
        full.put(key, 1)
    with pytest.raises(ItemError, match="d: this node wrote 3 keys already"):
        full.put("d", 1)
    full.put("a", 2)
    full.delete("b")
    assert [full.get(key) and key for key in "abcd"] == ["a", None, "c", None]


def test_a_folder_is_of_one_node_and_one_process(tmp_path: Path) -> None:
    first = node(tmp_path)
    first.put("k", 1)
    with pytest.raises(FolderError, match="each needs a folder of its own"):
        node(tmp_path)
    first.close()
    with pytest.raises(FolderError, match="what another node than bob wrote"):
        node(tmp_path, name="bob")
    with sqlite3.connect(tmp_path / "state.sqlite3") as other:
        other.execute("UPDATE items SET item = x'00'")
    with pytest.raises(FolderError, match="state that a node wrote"):
        node(tmp_path)
    with pytest.raises(FolderError, match="cannot be kept"):
        first.put("k", 2)


def test_a_set_of_nodes_that_see_each_other_is_a_plain_set() -> None:
    nodes, chance, plain = Nodes(), random.Random(7), set[str]()
    for _step in range(150):
        node, element = chance.randrange(3), chance.choice("wxyz")
        if chance.random() < 0.5:
            nodes.add(node, element)
            plain.add(element)
        else:
            nodes.remove(node, element)
            plain.discard(element)
        assert nodes.members == [plain] * 3


def test_what_one_node_adds_and_another_removes_leaves_nothing_behind() -> None:
    nodes = Nodes()
    for turn in range(5):
        nodes.add(0, f"added-{turn}")
        nodes.remove(1, f"added-{turn}")
    nodes.remove(0, "none")  # it writes, and drops what was removed
    nodes.remove(1, "none")
    parts = [set_part(each) for each in nodes.all[2].store.under("set", "k")]
    assert [(each.added, each.removed) for each in parts] == [((), ())] * 2


def test_an_authors_part_of_a_set_is_bounded() -> None:
    full = SetPart(ELEMENTS_MAX, tuple(("x", n) for n in range(ELEMENTS_MAX)))
    with pytest.raises(ItemError, match="more than 4096 elements"):
        added_to(full, "y")
    with pytest.raises(ItemError, match="more than 4096 removals"):
        removed_from(SetPart(0, removed=((ANN, 9_999),)), BOB, set_of_many(), "x")
    with pytest.raises(ItemError, match="value"):
        set_part(item(value=b"x"))


def set_of_many() -> ORSet:
    dots = frozenset(("x", (ANN, n)) for n in range(ELEMENTS_MAX + 1))
    return ORSet(dots)


def test_the_overlays_store_takes_items_and_exchanges_them() -> None:
    counting = {ANN, BOB}.__contains__
    one = CarriedStore(CLUSTER, KINDS, own=ANN, now=NOW, authors=counting)
    two = CarriedStore(CLUSTER, {**KINDS, "more": Kind()}, own=BOB, now=NOW, authors=counting)
    assert one.take(item("ann"), NOW)
    assert not one.take(item("ann"), NOW)
    assert not one.take(item("cat"), NOW)
    assert two.take(item("bob", "b"), NOW)
    body = one.open_exchange(BOB, NOW)
    assert body is not None
    assert one.open_exchange(BOB, NOW) is None
    news: list[Item] = []
    bodies = [body]
    while bodies:
        answers, told = two.on_exchange(ANN, bodies.pop(), NOW)
        news += told
        for answer in answers:
            bodies, brought = one.on_exchange(BOB, answer, NOW)
            news += brought
    assert {each.author for each in news} == {ANN, BOB}
    assert one.store.root == two.store.root
    one.take(item("ann", "gone", deleted=True), NOW)
    assert [each.key for each in one.items("state")] in (["k", "b"], ["b", "k"])
    assert one.get(BOB, "state", "b") == item("bob", "b")
    one.forget(BOB)
    later = NOW + 30 * 3600 * SECOND
    body = one.open_exchange(BOB, later)
    assert body is not None
    (answer,), _news = two.on_exchange(ANN, body, later)
    assert decode(answer).body == Root(two.store.root), "who only answers is never behind"
    one.forget(BOB)
    one.expire(NOW + 25 * 3600 * SECOND)
    assert one.get(ANN, "state", "gone") is None
