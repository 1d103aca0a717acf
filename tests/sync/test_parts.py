"""Parts of the exchange: large items, uploads, values, parts of replicated types, the overlay's face."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from dtvn.gateway.state_store import NodeState
from dtvn.protocol import canonical
from dtvn.sync import (
    CarriedStore,
    HybridClock,
    Item,
    ItemError,
    Kind,
    Sessions,
    SyncError,
    SyncProtocol,
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
from dtvn.sync.messages import (
    Chunk,
    Fetch,
    FetchChunk,
    Found,
    Head,
    Offer,
    Open,
    Question,
    Root,
    Want,
    Wanted,
    decode,
    encode,
)
from dtvn.sync.views import ConflictResolution
from tests.support.table import table
from tests.sync.support import (
    CLUSTER,
    KINDS,
    NOW,
    SECOND,
    by_place,
    exchanged,
    item,
    key_of,
    many,
    secret,
    store,
)

ANN, BOB = key_of("ann"), key_of("bob")


@pytest.mark.parametrize("protocol", list(SyncProtocol))
def test_large_items_travel_in_as_many_messages_as_they_need(protocol: SyncProtocol) -> None:
    large = [item("ann", f"k{n}", n + 1, bytes([n]) * 30_000) for n in range(7)]
    here, there = store(), store()
    for each in large:
        there.put_own(each)
    assert exchanged(here, there, protocol).items_received == 7
    assert here.root == there.root
    empty = store()
    assert exchanged(here, empty, protocol).items_sent == 7
    assert empty.root == here.root


def test_a_place_without_an_item_is_passed_over_in_an_answer_that_has_more() -> None:
    large = [item("ann", f"k{n}", n + 1, bytes([n]) * 30_000) for n in range(3)]
    there = store(*large)
    places = [entry[0] for entry in there.tree.entries("")]
    sessions = Sessions(there)
    asked = (places[0], bytes(32), places[1], places[2])
    said = decode(sessions.answer(b"peer", encode(1, Want(asked), answer=False), NOW)).body
    assert isinstance(said, Found)
    assert (len(said.items), said.has_more, said.next_cursor) == (1, True, 2)


def uploaded(sessions: Sessions, peer: bytes, question: Offer | Chunk | Fetch) -> Any:
    return decode(sessions.answer(peer, encode(1, question, answer=False), NOW)).body


def test_uploads_are_bounded_and_a_chunk_that_is_sent_again_is_passed_over() -> None:
    items = by_place(*many("ann", 400))
    body = canonical.encode(items)
    offer = Offer(
        Head(canonical.digest(body), len(body), len(body), compressed=False, behind=False), bytes(32)
    )
    first, second = body[: 48 * 1024], body[48 * 1024 :]
    held = store()
    sessions = Sessions(held)
    assert uploaded(sessions, b"one", offer) == Wanted(yes=True)
    assert uploaded(sessions, b"one", Chunk(0, first)) == Wanted(yes=True)
    assert uploaded(sessions, b"one", Chunk(0, first)) == Wanted(yes=True)
    for other in (b"2", b"3", b"4"):
        assert uploaded(sessions, other, offer) == Wanted(yes=True)
    assert uploaded(sessions, b"one", Chunk(1, second)) == Wanted(yes=False)
    assert len(held) == 400
    for other in (b"5", b"6"):
        uploaded(sessions, other, offer)
    assert uploaded(sessions, b"2", Chunk(0, first)) == Wanted(yes=False)  # the oldest made room
    sessions.forget(b"6")
    assert uploaded(sessions, b"6", Chunk(0, first)) == Wanted(yes=False)
    equal = msgspec.structs.replace(offer, root=held.root)
    assert uploaded(sessions, b"7", equal) == Wanted(yes=False)
    behind = msgspec.structs.replace(offer, head=msgspec.structs.replace(offer.head, behind=True))
    assert uploaded(sessions, b"8", behind) == Wanted(yes=False), "its own state may be deleted elsewhere"
    for refused in (equal, behind):
        assert uploaded(sessions, b"9", offer) == Wanted(yes=True)
        assert uploaded(sessions, b"9", refused) == Wanted(yes=False)
        assert uploaded(sessions, b"9", Chunk(0, first)) == Wanted(yes=False), "it took the other's place"
    uploaded(sessions, b"8", offer)
    with pytest.raises(SyncError):
        uploaded(sessions, b"8", Chunk(1, first))
    assert uploaded(sessions, b"8", Chunk(0, first)) == Wanted(yes=False), "one that failed is over"


def test_a_snapshot_is_of_what_is_held_when_it_is_asked_for() -> None:
    held = store(*many("ann", 3))
    sessions = Sessions(held)
    for more in (item("bob"), item("cat")):
        head = uploaded(sessions, b"one", Fetch())
        assert uploaded(sessions, b"two", Fetch()) == head
        assert head.checksum == canonical.digest(canonical.encode(by_place(*held.items())))
        held.take(more, NOW)


def test_a_snapshot_says_whether_its_sender_is_away_when_it_is_asked_for() -> None:
    held = store(item("ann"))
    sessions = Sessions(held)
    later = NOW + 31 * 3600 * SECOND
    fetch = encode(1, Fetch(), answer=False)
    said = [decode(sessions.answer(b"peer", fetch, now)).body for now in (NOW, later)]
    held.heard = later  # it has caught up, and holds the same as before
    said.append(decode(sessions.answer(b"peer", fetch, later)).body)
    assert [head.behind for head in said if isinstance(head, Head)] == [False, True, False]


def test_a_hybrid_clock_is_later_than_all_it_saw() -> None:
    clock = HybridClock()
    assert clock.tick(NOW) == NOW
    assert clock.tick(NOW) == NOW + 1
    clock.see(NOW + SECOND)
    assert clock.tick(NOW + 5) == NOW + SECOND + 1
    assert clock.tick(NOW + 2 * SECOND) == NOW + 2 * SECOND


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
    assert counter_of([part("ann", CounterPart(5, 1)), part("bob", CounterPart(2, 4))]).value == 2
    assert counter_of([part("ann", CounterPart(5, 1)), item("bob", deleted=True)]).value == 4
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
        assert whole.merge(ORSet()).value == left
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


@pytest.mark.parametrize(
    "question",
    [
        Offer(Head(bytes(32), 5, 5, compressed=False, behind=False), bytes(32)),
        Chunk(0, b"x"),
        Fetch(),
        FetchChunk(bytes(32), 0),
    ],
)
def test_the_overlays_store_gives_and_takes_no_snapshots(question: Question) -> None:
    carried = CarriedStore(CLUSTER, KINDS, own=ANN, now=NOW)
    with pytest.raises(SyncError, match="no snapshots"):
        carried.on_exchange(BOB, encode(1, question, answer=False), NOW)


def test_the_overlays_store_asks_for_no_snapshot_either() -> None:
    carried = CarriedStore(CLUSTER, KINDS, own=ANN, now=NOW)
    carried.take(item("ann"), NOW)
    body = carried.open_exchange(BOB, NOW + 48 * 3600 * SECOND)
    assert body is not None
    assert isinstance(decode(body).body, Open)


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
    one.take(item("ann", "gone", 2, deleted=True), NOW)
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
