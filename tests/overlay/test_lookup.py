"""Searches over a thousand books: how far they go, and that nobody hides a node from them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from statistics import fmean

import pytest

from dtvn.overlay import AddressValue, book_id, signed_address
from dtvn.overlay.book import AddressBook
from dtvn.overlay.lookup import ALPHA, ANSWER_WITHIN, QUESTIONS_MAX, Lookup
from dtvn.sync import Item
from tests.overlay.world import CLUSTER, NOW, World, everybody, pair, record

pytestmark = pytest.mark.exhaustive

NODES = 1_000
HOPS_MAX = math.floor(math.log2(NODES))
ECLIPSERS = 100
POOL = 120_000
"""Keys that the eclipser makes to find those near its victim."""
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def world() -> World:
    made = World(random.Random(47))
    for number in range(NODES):
        made.join(f"p{number}")
    return made


@pytest.fixture(scope="module")
def pool() -> list[tuple[int, str]]:
    parties = (f"e{number}" for number in range(POOL))
    return [(int.from_bytes(book_id(pair(party)[0])), party) for party in parties]


Told = Callable[[str, object], None]


def measured(searches: Iterable[Lookup]) -> str:
    found = list(searches)
    hops, questions = [each.hops for each in found], [each.questions for each in found]
    of_hops = f"hops {fmean(hops):.2f} (most {max(hops)})"
    return f"{of_hops}, questions {fmean(questions):.1f} (most {max(questions)})"


def test_each_node_finds_each_other_in_at_most_log2_n_hops(world: World, record_property: Told) -> None:
    searches = []
    for _ in range(300):
        asker, sought = world.rng.sample(sorted(world.nodes), 2)
        searches.append(world.search(asker, sought))
        assert searches[-1].found is not None
        assert searches[-1].found.author == sought
    record_property("honest", measured(searches))
    assert max(each.hops for each in searches) <= HOPS_MAX
    assert max(each.questions for each in searches) <= 4 * HOPS_MAX


@pytest.mark.parametrize("seed", SEEDS)
def test_an_eclipser_with_a_hundred_keys_near_a_node_does_not_hide_it(
    world: World, pool: list[tuple[int, str]], seed: int, record_property: Told
) -> None:
    """They are nearer to the victim than any honest node, in every book before the victim joins, and answer
    with each other only. The victim knows one honest node when it joins."""
    victim = f"victim{seed}"
    key = pair(victim)[0]
    place = int.from_bytes(book_id(key))
    near = sorted(pool, key=lambda each: each[0] ^ place)[:ECLIPSERS]
    honest = min(int.from_bytes(book_id(each)) ^ place for each in world.nodes)
    assert sum(each ^ place < honest for each, _ in near) > ECLIPSERS // 4
    askers = random.Random(seed).sample(sorted(world.nodes), 100)
    world.conspire([record(party) for _, party in near], world.nodes)
    world.join(victim)
    try:
        searches = [world.search(asker, key) for asker in askers]
        record_property(f"seed {seed}", measured(searches))
        assert all(each.found is not None for each in searches)
        assert max(each.hops for each in searches) <= HOPS_MAX
    finally:
        world.expose()
        world.leave(key)


def test_without_the_turns_of_all_distances_the_eclipser_would_win(
    world: World, pool: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above proves something: who always asks the nearest ends among the accomplices."""
    key = pair("victim1")[0]
    place = int.from_bytes(book_id(key))
    near = sorted(pool, key=lambda each: each[0] ^ place)[:ECLIPSERS]
    world.conspire([record(party) for _, party in near], world.nodes)
    world.join("victim1")
    monkeypatch.setattr(Lookup, "_turn", Lookup._nearness)
    try:
        searches = [world.search(asker, key) for asker in random.Random(1).sample(sorted(world.nodes), 20)]
        assert sum(each.found is None for each in searches) > 10
    finally:
        world.expose()
        world.leave(key)


# --- one search -----------------------------------------------------------------------------------


@pytest.fixture
def book() -> AddressBook:
    made = AddressBook(CLUSTER, pair("own")[0], admits=everybody)
    for name in "abcdef":
        made.learn(record(name), NOW)
    return made


def place(party: str) -> bytes:
    return book_id(pair(party)[0])


def test_three_are_asked_at_a_time_and_the_next_one_when_one_answered_or_failed(book: AddressBook) -> None:
    search = Lookup(book, place("z"))
    assert search.deadline() is None, "nobody was asked yet"
    first = search.due(0)
    assert len(first) == ALPHA
    assert search.due(0) == []
    assert search.answered(first[0], (), NOW)
    assert not search.answered(first[0], (), NOW), "an answer counts once"
    search.failed(first[1])
    assert len(search.due(1)) == 2
    assert search.deadline() == ANSWER_WITHIN
    assert len(search.due(ANSWER_WITHIN)) == 1
    search.due(2 * ANSWER_WITHIN)
    assert search.done
    assert search.found is None
    assert search.questions == 6


def test_silence_and_failure_are_remembered_in_the_book(book: AddressBook) -> None:
    search = Lookup(book, place("z"))
    silent = search.due(0)[0]
    search.due(ANSWER_WITHIN)
    known = book.get(silent)
    assert known is not None
    assert known.failed
    search = Lookup(book, place("z"))
    asked = search.due(0)
    other = next(item.author for item in book.items() if item.author not in asked)
    book.met(other)
    search.failed(other)
    assert book.get(other).failed, "also of one that was not asked: its link is down"  # type: ignore[union-attr]
    answers, *_ = Lookup(book, place("z")).due(0)
    book.failed(answers)
    search = Lookup(book, place("z"), first=(answers,))
    assert search.due(0)[0] == answers
    search.answered(answers, (record("g"), nowhere("h")), NOW)
    assert not book.get(answers).failed, "it is back"  # type: ignore[union-attr]
    near = {item.author for item in search.nearest()}
    assert record("g").author in near
    assert nowhere("h").author not in near, "nobody can ask it"


def nowhere(party: str) -> Item:
    """The record of one that listens nowhere."""
    return signed_address(CLUSTER, pair(party)[1], AddressValue(party, "leaf", ()), NOW)


def test_contacts_without_a_record_are_asked_and_the_named_ones_first(book: AddressBook) -> None:
    named, other = pair("named")[0], pair("other")[0]
    search = Lookup(book, place("z"), first=(named,), contacts=(other, pair("z")[0]))
    asked = search.due(0)
    assert asked[0] == named
    assert search.record(named) is None
    while not search.done:
        for key in asked:
            search.failed(key)
        asked = search.due(0)
    assert search.questions == 8, "the sought node itself is not asked where it is"


def test_a_known_record_is_found_at_once_unless_its_address_failed(book: AddressBook) -> None:
    assert Lookup(book, place("a")).found == record("a")
    search = Lookup(book, place("a"), above=NOW)
    assert search.found is None
    [asked, *_] = search.due(0)
    search.answered(asked, (record("a"),), NOW)
    assert search.found is None, "that is the one which failed"
    [asked, *_] = search.due(0)
    newer = record("a", ("10.0.0.9", 7), at=NOW + 1)
    search.answered(asked, (newer,), NOW)
    found = search.found
    assert found == newer
    assert (search.hops, search.done) == (1, True)
    assert newer in book.items(), "it was learned on the way"


def test_who_did_not_answer_at_its_address_is_asked_there_first_of_all(book: AddressBook) -> None:
    """It may be the bootstrap, back with an empty book: nobody can be asked about it, and it knows nobody."""
    named, sought = pair("named")[0], pair("a")[0]
    search = Lookup(book, place("a"), first=(named,), above=NOW)
    assert search.due(0)[:2] == [sought, named]
    search.answered(sought, (record("a"),), NOW)
    assert search.found is None
    assert sought not in search.due(0), "once in a search"
    assert Lookup(book, place("a")).due(0) == [], "a record that did not fail is found"


def test_answers_that_nobody_was_asked_for_and_forged_records_count_for_nothing(book: AddressBook) -> None:
    search = Lookup(book, place("z"))
    assert not search.answered(pair("a")[0], (record("z"),), NOW), "nothing was asked yet"
    [asked, *_] = search.due(0)
    forged = record("z", cluster=b"d" * 32)
    assert search.answered(asked, (forged,), NOW)
    assert search.found is None


def test_a_search_is_bounded_whatever_liars_answer(book: AddressBook) -> None:
    search = Lookup(book, place("z"))
    number = 0
    while asked := search.due(0):
        for key in asked:
            lies: list[Item] = [record(f"liar{number + each}") for each in range(20)]
            number += 20
            search.answered(key, lies, NOW)
    assert search.done
    assert search.questions == QUESTIONS_MAX


def test_who_searches_never_asks_itself_though_others_name_it(book: AddressBook) -> None:
    """Each answer may hold the asker's record, which a question tells first."""
    search = Lookup(book, place("z"))
    asked: list[bytes] = []
    while some := search.due(0):
        asked += some
        for key in some:
            search.answered(key, (record("own"), record("g")), NOW)
    assert sorted(asked) == sorted(pair(name)[0] for name in "abcdefg")
