"""Merging is commutative, associative and idempotent, whatever carries the items (R46, A43 to A51)."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dtvn.gateway.state_store import NodeState
from dtvn.sync import AHEAD_US_MAX, ConflictResolution, Item, Store, view_of
from tests.sync.support import CLUSTER, NOW, SECOND, exchanged, item, key_of, secret, store

CASES = settings(max_examples=1_000, deadline=None)
STORIES = settings(max_examples=200, deadline=None)
AUTHORS = ["ann", "bob", "cat"]

items = some.builds(
    item,
    some.sampled_from(AUTHORS),
    some.sampled_from("klm"),
    some.sampled_from([-2 * SECOND, 0, 1, 2, AHEAD_US_MAX, AHEAD_US_MAX + 1, AHEAD_US_MAX + 2]),
    some.sampled_from([b"1", b"2"]),
    deleted=some.booleans(),
)
lists = some.lists(items, max_size=12)


def merged(first: Store, second: Store, quota: int) -> Store:
    return store(*first.items(), *second.items(), author_items_max=quota)


@pytest.mark.ci
@CASES
@given(lists, lists, lists, some.integers(1, 4))
def test_a48_merging_stores_obeys_the_laws(a: list[Item], b: list[Item], c: list[Item], quota: int) -> None:
    one, two, three = (store(*each, author_items_max=quota) for each in (a, b, c))
    assert merged(one, two, quota).root == merged(two, one, quota).root
    left = merged(merged(one, two, quota), three, quota)
    assert left.root == merged(one, merged(two, three, quota), quota).root
    assert merged(left, left, quota).root == left.root == store(*a, *b, *c, author_items_max=quota).root


@STORIES
@given(lists, lists, some.integers(1, 100))
def test_a46_a47_one_exchange_makes_any_two_stores_equal(a: list[Item], b: list[Item], batch: int) -> None:
    here, there = store(*a), store(*b)
    exchanged(here, there, batch=batch)
    assert here.root == there.root == store(*a, *b).root
    later = exchanged(here, there, batch=batch)
    assert (later.questions, later.items_received, later.items_sent) == (1, 0, 0)


@CASES
@given(some.permutations([item(who, "k", n % 2, b"[%d]" % n) for n, who in enumerate(AUTHORS, 1)]))
def test_a45_views_do_not_depend_on_the_order_in_which_items_came(order: list[Item]) -> None:
    for resolution in ConflictResolution:
        found = view_of(order, resolution, lambda older, newer: newer)
        assert found == view_of(order[::-1], resolution, lambda older, newer: newer)


def test_a45_each_resolution_chooses_as_it_says() -> None:
    old = item("bob", at=0, value=b'{"x":{"a":1},"l":[1,2]}')
    new = item("ann", at=1, value=b'{"x":{"b":2},"l":[2,3]}')
    shown = {each: view_of([new, old], each, lambda older, _newer: older) for each in ConflictResolution}
    authors = {each.value: found.author for each, found in shown.items() if found}
    assert authors == {
        "last_write": key_of("ann"),
        "highest_version": key_of("ann"),
        "merge": key_of("ann"),
        "custom": key_of("bob"),
    }
    both = shown[ConflictResolution.MERGE]
    assert both is not None
    assert (both.value, both.version) == ({"x": {"a": 1, "b": 2}, "l": [1, 2, 3]}, new.version)


def test_a45_equal_times_are_resolved_alike_on_both_sides() -> None:
    pair = [item("ann", value=b"1"), item("bob", value=b"2")]
    one, two = (view_of(each, ConflictResolution.LAST_WRITE) for each in (pair, pair[::-1]))
    assert one == two
    assert one is not None
    assert one.author == max(key_of("ann"), key_of("bob"))


def test_a_tombstone_covers_what_was_written_before_it_and_not_what_came_after() -> None:
    before, after = item("ann", value=b"1"), item("cat", at=2, value=b"3")
    gone = item("bob", at=1, deleted=True)
    assert view_of([before, gone], ConflictResolution.MERGE) is None
    found = view_of([before, gone, after], ConflictResolution.MERGE)
    assert found is not None
    assert (found.value, found.version) == (3, after.version)


class Nodes:
    """Nodes in one process, with clocks that differ, of which some keep what they write and some do not."""

    def __init__(self, folder: Path) -> None:
        self.time = NOW
        self.skew = dict(zip(AUTHORS, (0, 90 * SECOND, -90 * SECOND), strict=True))
        self.folders = {"ann": folder, "bob": None, "cat": None}
        self.all = {name: self._node(name) for name in AUTHORS}

    def _node(self, name: str) -> NodeState:
        return NodeState(
            CLUSTER, secret(name)[:32], {key_of(each): each for each in AUTHORS},
            ConflictResolution.LAST_WRITE,
            folder=self.folders[name], now=lambda: self.time + self.skew[name],
        )  # fmt: skip

    def meet(self, one: str, two: str) -> None:
        exchanged(self.all[one].store, self.all[two].store, now=self.time)

    def restart(self, name: str) -> None:
        """One without a folder has told another, and hears of its own past before it writes again."""
        others = [each for each in AUTHORS if each != name]
        if self.folders[name] is None:
            self.meet(name, others[0])
        self.all[name].close()
        self.all[name] = self._node(name)
        if self.folders[name] is None:
            self.meet(name, others[0])

    def settle(self) -> None:
        for _ in range(2):
            self.meet("ann", "bob")
            self.meet("bob", "cat")

    def close(self) -> None:
        for node in self.all.values():
            node.close()


names = some.sampled_from(AUTHORS)
keys = some.sampled_from("xy")
steps = some.lists(
    some.one_of(
        some.tuples(some.just("set"), names, keys, some.integers(0, 9)),
        some.tuples(some.just("delete"), names, keys, some.none()),
        some.tuples(some.just("increment"), names, keys, some.integers(-5, 5)),
        some.tuples(some.just("add"), names, keys, some.sampled_from("pq")),
        some.tuples(some.just("remove"), names, keys, some.sampled_from("pq")),
        some.tuples(some.just("meet"), names, names, some.none()),
        some.tuples(some.just("restart"), names, some.none(), some.none()),
    ),
    max_size=25,
)


@pytest.mark.ci
@STORIES
@given(steps)
def test_nodes_agree_in_the_end_and_none_loses_to_its_own_past(story: list[tuple[Any, ...]]) -> None:
    counted = {"x": 0, "y": 0}
    with TemporaryDirectory() as folder:
        nodes = Nodes(Path(folder))
        try:
            for what, name, key, value in story:
                nodes.time += SECOND
                _step(nodes, what, name, key, value, counted)
            nodes.settle()
            assert len({node.store.root for node in nodes.all.values()}) == 1
            for key in "xy":
                assert {node.counter(key) for node in nodes.all.values()} == {counted[key]}
                assert len({node.members(key) for node in nodes.all.values()}) == 1
                assert len({repr(node.get(key)) for node in nodes.all.values()}) == 1
        finally:
            nodes.close()


def _step(nodes: Nodes, what: str, name: str, key: str, value: Any, counted: dict[str, int]) -> None:
    """One step, and what its own node must see of it at once, whatever came before."""
    node = nodes.all[name]
    match what:
        case "set":
            assert (found := node.put(key, value)) == node.get(key)
            assert (found.value, found.node_id) == (value, name)
        case "delete":
            node.delete(key)
            assert node.get(key) is None
        case "increment":
            before = node.counter(key)
            assert node.increment(key, value) == before + value
            counted[key] += value
        case "add":
            node.add(key, value)
            assert value in node.members(key)
        case "remove":
            node.remove(key, value)
            assert value not in node.members(key)
        case "meet":
            nodes.meet(name, key)
        case "restart":
            nodes.restart(name)


@STORIES
@given(some.lists(some.tuples(names, some.integers(0, 3)), min_size=1, max_size=12))
def test_a43_a51_nodes_that_see_each_other_are_one_plain_map(story: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        nodes = Nodes(Path(folder))
        try:
            for name, value in story:
                if value:
                    nodes.all[name].put("x", value)
                else:
                    nodes.all[name].delete("x")
                nodes.settle()
                found = [node.get("x") for node in nodes.all.values()]
                assert [each and each.value for each in found] == [value or None] * 3
        finally:
            nodes.close()
