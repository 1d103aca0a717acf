"""Merging is commutative, associative and idempotent, of stores and of replicated types (A48, R46)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dtvn.sync import ConflictResolution, Item, Store, SyncProtocol, view_of
from dtvn.sync.crdt import GCounter, ORSet, PNCounter, counter_of, set_of
from tests.sync.support import NOW, SECOND, exchanged, item, key_of, store

CASES = settings(max_examples=1_000, deadline=None)
AUTHORS = ["ann", "bob", "cat"]

items = some.builds(
    item,
    some.sampled_from(AUTHORS),
    some.sampled_from("klm"),
    some.integers(1, 6),
    some.sampled_from([b"1", b"2"]),
    at=some.sampled_from([NOW, NOW + SECOND]),
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


@settings(max_examples=40, deadline=None)
@given(lists, lists, some.sampled_from(SyncProtocol), some.integers(1, 100))
def test_one_exchange_makes_any_two_stores_equal(
    a: list[Item], b: list[Item], protocol: SyncProtocol, batch: int
) -> None:
    here, there = store(*a), store(*b)
    exchanged(here, there, protocol, batch=batch)
    assert here.root == there.root == store(*a, *b).root


counts = some.dictionaries(some.sampled_from([b"a", b"b", b"c"]), some.integers(0, 9))
dots = some.tuples(some.sampled_from([b"a", b"b"]), some.integers(0, 4))
g_counters = some.builds(GCounter, counts)
pn_counters = some.builds(PNCounter, g_counters, g_counters)
sets = some.builds(
    ORSet, some.frozensets(some.tuples(some.sampled_from("xy"), dots)), some.frozensets(dots)
).map(lambda each: each.merge(each))


def obeys_the_laws(strategy: some.SearchStrategy[Any]) -> Callable[[], None]:
    @CASES
    @given(strategy, strategy, strategy)
    def check(a: Any, b: Any, c: Any) -> None:
        assert a.merge(b) == b.merge(a)
        assert a.merge(b).merge(c) == a.merge(b.merge(c))
        assert a.merge(a) == a

    return check


test_a48_growing_counters_obey_the_laws = obeys_the_laws(g_counters)
test_a48_counters_obey_the_laws = obeys_the_laws(pn_counters)
test_a48_sets_obey_the_laws = obeys_the_laws(sets)


def test_a48_concurrent_counters_add_up() -> None:
    here, there = GCounter({b"a": 3}), GCounter({b"b": 4})
    assert here.merge(there).value == 7
    both = PNCounter(here, there)
    assert both.value == -1
    assert both.merge(PNCounter(GCounter({b"a": 9}))).value == 5


def test_what_is_added_while_another_removes_it_stays() -> None:
    begun = ORSet().add("x", (b"a", 1))
    assert begun.remove("x").value == frozenset()
    assert begun.remove("x").merge(begun.add("x", (b"b", 1))).value == {"x"}
    assert begun.remove("x").merge(begun).value == frozenset()


def test_parts_of_authors_are_merged_where_they_are_read() -> None:
    assert counter_of([]).value == 0
    assert set_of([item(deleted=True)]).value == frozenset()


@CASES
@given(
    some.permutations([item(who, "k", n, b"[%d]" % n, at=NOW + n % 2) for n, who in enumerate(AUTHORS, 1)])
)
def test_a45_views_do_not_depend_on_the_order_in_which_items_came(order: list[Item]) -> None:
    for resolution in ConflictResolution:
        found = view_of(order, resolution, lambda older, newer: newer)
        assert found == view_of(order[::-1], resolution, lambda older, newer: newer)


def test_a45_each_resolution_chooses_as_it_says() -> None:
    old = item("bob", version=9, value=b'{"x":{"a":1},"l":[1,2]}', at=NOW)
    new = item("ann", version=3, value=b'{"x":{"b":2},"l":[2,3]}', at=NOW + 1)
    shown = {each: view_of([old, new], each, lambda older, _newer: older) for each in ConflictResolution}
    authors = {each.value: found.author for each, found in shown.items() if found}
    assert authors == {
        "last_write": key_of("ann"),
        "highest_version": key_of("bob"),
        "merge": key_of("ann"),
        "custom": key_of("bob"),
    }
    both = shown[ConflictResolution.MERGE]
    assert both is not None
    assert (both.value, both.version) == ({"x": {"a": 1, "b": 2}, "l": [1, 2, 3]}, 10)


def test_a45_equal_timestamps_are_resolved_alike_on_both_sides() -> None:
    pair = [item("ann", value=b"1"), item("bob", value=b"2")]
    for resolution in (ConflictResolution.LAST_WRITE, ConflictResolution.HIGHEST_VERSION):
        one, two = view_of(pair, resolution), view_of(pair[::-1], resolution)
        assert one == two
        assert one is not None
        assert one.author == max(key_of("ann"), key_of("bob"))


def test_a_tombstone_covers_what_was_written_before_it_and_not_what_came_after() -> None:
    before, after = item("ann", value=b"1", at=NOW), item("cat", value=b"3", at=NOW + 2)
    gone = item("bob", version=2, at=NOW + 1, deleted=True)
    assert view_of([before, gone], ConflictResolution.MERGE) is None
    found = view_of([before, gone, after], ConflictResolution.MERGE)
    assert found is not None
    assert (found.value, found.version) == (3, 1)


def test_a45_a_merge_of_equal_values_keeps_the_higher_version() -> None:
    old, new = item("bob", version=9, value=b"7", at=NOW), item("ann", version=3, value=b"7", at=NOW + 1)
    found = view_of([old, new], ConflictResolution.MERGE)
    assert found is not None
    assert (found.value, found.version, found.author) == (7, 9, key_of("ann"))
