"""The address book: which records it believes, which it keeps, and whom it names."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.overlay import AddressValue, book_id
from dtvn.overlay.book import NEAR_MAX, AddressBook, K, shared_bits
from dtvn.protocol import canonical
from dtvn.sync import AHEAD_US_MAX, Item, sign
from tests.founding.parties import NOWHERE
from tests.overlay.world import CLUSTER, NOW, SharedBook, everybody, internet, pair, record

OWN = pair("own")[0]


@pytest.fixture
def book() -> AddressBook:
    return AddressBook(CLUSTER, OWN, admits=everybody)


def said(value: object, *, at: int = NOW) -> Item:
    """What the party "a" signs, whatever it is."""
    data = canonical.encode(value)
    return sign(CLUSTER, pair("a")[1], kind="address", key="", version=at, value=data)


FIT = ("a", "relay", (("10.0.0.1", 1),))


def test_the_newest_record_of_an_author_counts_in_any_order(book: AddressBook) -> None:
    older = record("a", ("10.0.0.1", 1))
    newer = record("a", ("10.0.0.1", 2), at=NOW + 1)
    assert book.learn(newer, NOW)
    assert not book.learn(older, NOW)
    assert not book.learn(newer, NOW), "known"
    assert book.items() == [newer]


@pytest.mark.parametrize(
    "false",
    [
        msgspec.structs.replace(record("a"), author=pair("b")[0]),
        record("a", cluster=b"d" * 32),
        msgspec.structs.replace(record("a"), version=NOW + 5),
        msgspec.structs.replace(record("a"), value=record("b").value),
        msgspec.structs.replace(record("a"), signature=bytes(64)),
        msgspec.structs.replace(record("a"), author=bytes(32)),
        msgspec.structs.replace(record("a"), deleted=True, value=b""),
        said(FIT, at=NOW + AHEAD_US_MAX + 1),
        said(("a", "relay", (("10.0.0.1", 0),))),
        said(("a", "relay", (("10.0.0.1", 65_536),))),
        said(("a", "relay", ())),
        said(("a", "leaf", (("10.0.0.1", 1),))),
        said(("a", "king", (("10.0.0.1", 1),))),
        said(("a", "relay", tuple(("10.0.0.1", port) for port in range(1, 6)))),
        said("nothing"),
    ],
    ids=[
        "another's key",
        "another cluster",
        "another version",
        "another's content",
        "no signature",
        "no key",
        "tombstone",
        "future",
        "no port",
        "port too high",
        "nowhere",
        "a leaf that listens",
        "another role",
        "five addresses",
        "no record",
    ],
)
def test_a_false_record_is_not_kept(book: AddressBook, false: Item) -> None:
    assert not book.learn(false, NOW)
    assert len(book) == 0


NO_PLACE = (
    *("", "a b", "_x", "é", "*", "x/y", "a@b", "x\0y", "1.2.3.4.5", "::1%eth9", "[::1]", "eth0;1.1.1.1"),
    *("slow.example", "localhost", "h" * 300, *NOWHERE),
)


@pytest.mark.parametrize("host", NO_PLACE)
def test_a_liars_own_record_with_a_harmful_host_is_not_kept(book: AddressBook, host: str) -> None:
    """One signed record with the host "a b" ended every node that learned it; a name is resolved in ZeroMQ's
    one thread."""
    assert not book.learn(said(("a", "relay", ((host, 5001),))), NOW)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "::1", "2001:db8::7"])
def test_a_record_with_an_address_is_believed(book: AddressBook, host: str) -> None:
    assert book.learn(record("a", (host, 5001)), NOW)
    known = book.get(pair("a")[0])
    assert known is not None
    assert known.value == AddressValue("a", "relay", ((host, 5001),))


def test_only_members_and_counting_principals_have_records() -> None:
    counting = {pair("a")[0]}
    book = AddressBook(CLUSTER, OWN, admits=counting.__contains__)
    assert book.learn(record("a"), NOW)
    assert not book.learn(record("stranger"), NOW)
    counting.clear()
    book.keep_admitted()
    assert len(book) == 0


def test_a_leaf_is_in_no_book_and_who_becomes_one_leaves(book: AddressBook) -> None:
    assert book.learn(record("a"), NOW)
    assert not book.learn(said(("a", "leaf", ()), at=NOW + 1), NOW)
    assert len(book) == 0


def test_of_itself_it_learns_only_which_version_others_hold(book: AddressBook) -> None:
    """A node whose clock was set back signs a version above that, or its new address would be ignored."""
    assert not book.learn(record("own", at=NOW + 7), NOW)
    assert len(book) == 0
    assert book.own_version == NOW + 7


def test_members_are_kept_whatever_else_there_is() -> None:
    names = [f"member{number}" for number in range(31)]
    book = SharedBook(CLUSTER, OWN, admits=everybody, members=[pair(name)[0] for name in names])
    book.checked = {}
    for number in range(NEAR_MAX + 200):
        book.learn(record(f"p{number}"), NOW)
    for name in names:
        assert book.learn(record(name, ("127.0.0.1", 4001)), NOW)
    assert all(pair(name)[0] in book for name in names)


def crowd(count: int, places: str = "internet") -> tuple[AddressBook, list[Item]]:
    """A book that was told that many records of nodes, and these records."""
    book = AddressBook(CLUSTER, OWN, admits=everybody)
    items = []
    for number in range(count):
        party = f"p{number}"
        host = {"internet": internet(party), "one": "20.1.2.3", "venue": "192.168.7.9"}[places]
        items.append(record(party, (host, 1_000 + number)))
        book.learn(items[-1], NOW)
    return book, items


def test_it_is_complete_up_to_its_size_and_bounded_beyond() -> None:
    small, items = crowd(NEAR_MAX)
    assert len(small) == len(items)
    large, items = crowd(700)
    own = int.from_bytes(book_id(OWN))
    nearest = sorted(items, key=lambda item: int.from_bytes(book_id(item.author)) ^ own)[:NEAR_MAX]
    assert all(item.author in large for item in nearest), "whom its neighbours seek it knows"
    rest = [item for item in large.items() if item not in nearest]
    by_bits: dict[int, int] = {}
    for item in rest:
        bits = shared_bits(int.from_bytes(book_id(item.author)), own)
        by_bits[bits] = by_bits.get(bits, 0) + 1
    assert 0 < max(by_bits.values()) <= K
    assert len(large) <= NEAR_MAX + K * len(by_bits)


def test_one_network_of_the_internet_has_one_place_in_a_bucket_but_a_venue_has_all() -> None:
    crowded, _ = crowd(NEAR_MAX + 100, "one")
    assert len(crowded) <= NEAR_MAX + 8, "one for each number of shared bits"
    venue, _ = crowd(NEAR_MAX + 100, "venue")
    assert len(venue) >= NEAR_MAX + K


def test_who_was_there_first_stays_unless_it_failed() -> None:
    book, _ = crowd(700)
    newcomer = record("p10000")
    own = int.from_bytes(book_id(OWN))
    assert shared_bits(int.from_bytes(book_id(newcomer.author)), own) == 0, "its bucket is full"
    assert not book.learn(newcomer, NOW)
    gone = book._buckets[0][7]
    book.failed(gone)
    assert book.learn(newcomer, NOW)
    assert gone not in book


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_an_answer_has_the_nearest_and_all_distances_and_never_more_than_was_asked(seed: int) -> None:
    book = _BIG.setdefault("book", crowd(300)[0])
    rng = random.Random(seed)
    target, most = rng.randbytes(32), rng.randrange(1, 21)
    place = int.from_bytes(target)
    answer = book.closest(target, most)
    distances = [int.from_bytes(book_id(item.author)) ^ place for item in answer]
    everyone = sorted(int.from_bytes(book_id(item.author)) ^ place for item in book.items())
    assert len(set(distances)) == most
    assert distances == sorted(distances)
    assert distances[: (most + 1) // 2] == everyone[: (most + 1) // 2]
    if most == K:
        assert {256 - d.bit_length() for d in everyone[:256]} <= {256 - d.bit_length() for d in distances}


_BIG: dict[str, AddressBook] = {}


def test_a_node_is_named_first_to_who_seeks_it_and_last_if_it_failed(book: AddressBook) -> None:
    for name in "abcdefgh":
        book.learn(record(name), NOW)
    author = pair("c")[0]
    assert book.closest(book_id(author))[0].author == author
    book.failed(author)
    assert book.closest(book_id(author))[-1].author == author
    book.met(author)
    assert book.closest(book_id(author))[0].author == author
    book.failed(author)
    assert book.learn(record("c", ("10.0.0.1", 2), at=NOW + 1), NOW)
    assert book.closest(book_id(author))[0].author == author, "it has not failed where it is now"
    book.forget(author)
    assert author not in {item.author for item in book.closest(book_id(author))}


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["learn", "forget", "failed"])), max_size=600))
@settings(max_examples=15, deadline=None)
def test_its_parts_agree_after_any_history(history: list[tuple[int, str]]) -> None:
    book = SharedBook(CLUSTER, OWN, admits=everybody)
    book.checked = _CHECKED
    for number in range(NEAR_MAX + 60):
        book.learn(record(f"p{number}"), NOW)
    for number, what in history:
        if what == "learn":
            book.learn(record(f"p{number}"), NOW)
        else:
            getattr(book, what)(pair(f"p{number}")[0])
    near = {author for _, author in book._near}
    bucketed = [author for bucket in book._buckets.values() for author in bucket]
    assert len(near) == len(book._near) <= NEAR_MAX
    assert len(bucketed) == len(set(bucketed))
    assert near.isdisjoint(bucketed)
    assert len(near) == NEAR_MAX or not bucketed, "a place that becomes free is taken"
    assert list(book._near) == sorted(book._near)
    assert near | set(bucketed) == {item.author for item in book.items()}


_CHECKED: dict[Item, AddressValue | None] = {}
