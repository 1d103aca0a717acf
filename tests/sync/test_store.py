"""What a store takes, refuses, drops and forgets (R46)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.sync import AHEAD_US_MAX, Item, ItemError, Kind, Store, Taken, Tree, sign
from tests.sync.support import CLUSTER, HOUR, KINDS, NOW, SECOND, exchanged, item, key_of, many, secret, store

FAR = AHEAD_US_MAX + 1
"""An item of NOW + FAR counts from NOW + 1 on."""


def test_the_newest_version_of_an_author_stays_and_others_are_not_touched() -> None:
    held = store()
    assert held.take(item(at=2, value=b"2"), NOW) is Taken.NEW
    assert held.take(item(at=1, value=b"1"), NOW) is Taken.KNOWN
    assert held.take(item(at=2, value=b"2"), NOW) is Taken.KNOWN
    assert held.take(item("bob", at=1), NOW) is Taken.NEW
    assert sorted(each.version - NOW for each in held.under("state", "k")) == [1, 2]


def test_a_forged_item_is_refused_and_changes_nothing() -> None:
    held, good = store(), item()
    for forged in (
        msgspec.structs.replace(good, value=b"w"),
        msgspec.structs.replace(good, author=key_of("bob")),
        msgspec.structs.replace(good, version=NOW + 9),
        msgspec.structs.replace(good, version=NOW + FAR),
        sign(bytes(32), secret("ann"), kind="state", key="k", version=NOW, value=b"v"),
    ):
        with pytest.raises(ItemError, match="signature"):
            held.take(forged, NOW)
        with pytest.raises(ItemError, match="signature"):
            held.take_all((item("bob"), forged), NOW)
    assert len(held) == 0


def test_r46_an_item_dated_too_far_ahead_wins_nothing_until_then() -> None:
    held, old = store(item()), item()
    assert held.take(item(at=FAR), NOW) is Taken.AHEAD
    assert held.take(item(at=FAR), NOW) is Taken.KNOWN
    assert held.take(item(at=1, value=b"later, and it counts"), NOW) is Taken.NEW
    assert held.take(item("bob", at=AHEAD_US_MAX), NOW) is Taken.NEW
    root = held.root
    held.advance(NOW)
    assert (held.root, held.get(key_of("ann"), "state", "k")) == (
        root,
        item(at=1, value=b"later, and it counts"),
    )
    assert held.newest(key_of("ann"), "state", "k") == item(at=FAR)
    peer = store(old)
    exchanged(peer, held)
    assert peer.root == root, "it does not travel either"
    held.expire(NOW + 1)
    assert held.get(key_of("ann"), "state", "k") == item(at=FAR)


def test_as_many_items_of_the_future_are_kept_as_others() -> None:
    held = store(author_items_max=2)
    ahead = [item(key=key, at=FAR) for key in "abc"]
    assert [held.take(each, NOW) for each in ahead] == [Taken.AHEAD, Taken.AHEAD, Taken.FULL]
    assert held.take(item(key="a", at=FAR + 1), NOW) is Taken.AHEAD
    held.advance(NOW + 2)
    assert len(held) == 2
    assert held.take(item(key="c", at=FAR + 2), NOW) is Taken.AHEAD, "there is room again"


def test_of_a_burst_a_peer_takes_what_costs_others_and_all_of_its_own() -> None:
    held = Store(CLUSTER, {"state": Kind(burst=2)}, own=key_of("ann"), now=NOW)
    for author, taken in (("ann", Taken.NEW), ("bob", Taken.EARLY)):
        found = [held.take(each, NOW) for each in many(author, 4)]
        assert found == [Taken.NEW, Taken.NEW, taken, taken]
    assert held.take(item("bob", at=FAR), NOW) is Taken.EARLY
    assert held.take(many("bob", 4)[2], NOW + SECOND) is Taken.NEW
    assert held.take(many("bob", 4)[3], NOW + SECOND) is Taken.EARLY, "room for one, and it is used"


def test_a_value_that_is_none_of_its_kind_is_refused() -> None:
    def check(found: object) -> None:
        raise ItemError("value: none of this kind")

    held = Store(CLUSTER, {"state": Kind(check)})
    with pytest.raises(ItemError, match="none of this kind"):
        held.take(item(), NOW)
    assert held.take(item(deleted=True), NOW) is Taken.NEW


def test_an_author_or_kind_that_does_not_count_is_strange() -> None:
    held = Store(CLUSTER, KINDS, authors={key_of("ann")}.__contains__)
    assert held.take(item("bob"), NOW) is Taken.STRANGE
    assert held.take(item(kind="other"), NOW) is Taken.STRANGE


def test_items_of_an_author_that_no_longer_counts_are_dropped() -> None:
    counting = {key_of("ann"), key_of("bob")}
    held = Store(CLUSTER, KINDS, authors=counting.__contains__)
    for each in (*many("ann", 3), item("bob"), item("ann", "far", FAR)):
        held.take(each, NOW)
    counting.remove(key_of("ann"))
    assert sorted(each.key for each in held.expire(NOW)) == ["ann-0", "ann-1", "ann-2"]
    held.advance(NOW + 1)
    assert [each.author for each in held.items()] == [key_of("bob")]


def test_an_exchange_ends_also_with_authors_that_do_not_count_here() -> None:
    there = store(item("bob"), *many("ann", 250))
    here = Store(CLUSTER, KINDS, authors={key_of("bob")}.__contains__)
    assert exchanged(here, there, batch=20).questions < 60
    assert [each.author for each in here.items()] == [key_of("bob")]


def test_an_author_keeps_its_newest_items_up_to_its_quota() -> None:
    held = store(*many("ann", 5), *many("bob", 2), author_items_max=3)
    assert sorted(each.version - NOW for each in held.items() if each.author == key_of("ann")) == [3, 4, 5]
    assert len(held) == 5
    full = store(*many("ann", 5), items_max=4)
    assert full.take(item("bob"), NOW) is Taken.FULL


def test_what_cannot_be_kept_does_not_count() -> None:
    def fail(_item: Item) -> None:
        raise OSError("no space left on device")

    held = Store(CLUSTER, KINDS, on_change=fail)
    with pytest.raises(OSError, match="no space"):
        held.take(item(), NOW)
    assert (len(held), held.root) == (0, Tree().root)


def test_a51_a_tombstone_is_kept_24_hours_and_as_long_as_it_hides_what_others_wrote() -> None:
    hidden, gone = item("ann"), item("bob", at=2, deleted=True)
    both = [item(author, "alone", deleted=True) for author in ("bob", "cat")]
    held = store(hidden, gone, *both)
    held.expire(NOW + 24 * HOUR)
    assert len(held) == 4
    held.expire(NOW + 24 * HOUR + 3)
    assert len(held) == 2
    assert held.get(key_of("bob"), "state", "k") == gone
    assert held.get(key_of("bob"), "state", "alone") is None


def test_a51_a_value_that_was_written_after_its_deletion_does_not_expire() -> None:
    held = store(item("ann", deleted=True), item("ann", at=2))
    held.expire(NOW + 25 * HOUR)
    assert held.get(key_of("ann"), "state", "k") == item("ann", at=2)


def test_a_key_whose_last_item_is_dropped_is_listed_no_more() -> None:
    held = store(item("ann", "gone", deleted=True), item("bob", "stays"))
    assert held.keys("state") == ["gone", "stays"]
    held.expire(NOW + 24 * HOUR + 1)
    assert held.keys("state") == ["stays"]


def test_a51_a_peer_that_was_away_longer_takes_before_it_gives() -> None:
    value, gone = item("ann"), item("ann", at=2, deleted=True)
    later = NOW + 31 * HOUR
    away = store(value, item("cat", "own"), item("eve", "older there", at=1), own=key_of("cat"))
    away.take(item("bob", "young", at=30 * HOUR), later)
    here = store(gone, *many("dan", 3), item("eve", "older there"))
    here.heard = later
    here.expire(later)  # nobody remembers the deletion any more
    assert away.is_behind(later)
    refused = exchanged(here, away, now=later)
    assert (refused.questions, refused.items_sent, refused.compared, len(away)) == (1, 0, False, 4)
    assert here.get(key_of("ann"), "state", "k") is None
    assert exchanged(away, here, now=later).compared
    assert not away.is_behind(later)
    assert away.root == here.root
    found = sorted(each.key for each in here.items())
    assert found == ["dan-0", "dan-1", "dan-2", "older there", "own", "young"]
    assert here.get(key_of("eve"), "state", "older there") == item("eve", "older there", at=1)


def test_a_peer_that_was_away_too_does_not_bring_one_up_to_date() -> None:
    later = NOW + 31 * HOUR
    one, two = store(item("ann")), store(item("bob"))
    assert exchanged(one, two, now=later).items_sent == 0
    assert one.is_behind(later)
    assert len(one) == 1


def test_a_tree_depends_on_its_entries_and_not_on_how_they_came() -> None:
    keys = [bytes([n % 7, n // 7 % 256, n]).ljust(32) for n in range(200)]
    one, two = Tree(), Tree()
    for key in keys:
        one.put(key, 1, key.ljust(32))
    for key in reversed(keys):
        two.put(key, 2, key.ljust(32))
        assert two.root != one.root
    for key in keys[::3]:
        two.remove(key)
    for key in keys:
        two.put(key, 1, key.ljust(32))
    assert one.root == two.root
    assert [entry[0] for entry in two.entries("")] == sorted(keys)
    parts = two.parts("")
    assert sum(two.count(part) for part in parts) == len(two) == two.count("")
    for key in keys:
        one.remove(key)
    assert (one.root, len(one)) == (Tree().root, 0)
