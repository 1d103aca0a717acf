"""Two stores, one exchange: the same state in the end, and no more said than is needed (A46, A47, R46)."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from dtvn.sync import Sessions, Store
from dtvn.sync.messages import Found, Want, decode, encode
from tests.support.table import table
from tests.sync.support import NOW, exchanged, gossip_round, item, many, store


def contents(found: Store) -> set[bytes]:
    return {each.signature for each in found.items()}


def test_two_stores_are_equal_after_one_exchange() -> None:
    both = many("ann", 300)
    here = store(*both, *many("bob", 70), item("cat", "k", 5))
    there = store(*both, *many("dan", 130), item("cat", "k", 7), item("ann", "ann-3", 900))
    outcome = exchanged(here, there)
    assert here.root == there.root
    assert contents(here) == contents(there)
    assert len(here) == 300 + 70 + 130 + 1
    assert (outcome.items_received, outcome.items_sent, outcome.compared) == (130 + 2, 70, True)


def test_equal_stores_exchange_two_roots_and_nothing_else() -> None:
    both = many("ann", 200)
    outcome = exchanged(store(*both), store(*reversed(both)))
    assert outcome.questions == 1
    assert (outcome.items_received, outcome.items_sent) == (0, 0)
    assert outcome.bytes_sent + outcome.bytes_received < 120


def test_an_empty_store_takes_everything() -> None:
    here, there = store(), store(*many("ann", 250))
    exchanged(here, there)
    assert contents(here) == contents(there)
    again, full = store(*many("ann", 250)), store()
    exchanged(again, full)
    assert contents(full) == contents(again)


def test_large_items_travel_in_as_many_messages_as_they_need() -> None:
    large = [item("ann", f"k{n}", n + 1, bytes([n]) * 30_000) for n in range(7)]
    here, there, empty = store(), store(*large), store()
    assert exchanged(here, there).items_received == 7
    assert exchanged(here, empty).items_sent == 7
    assert here.root == there.root == empty.root


def test_a_place_without_an_item_counts_as_answered() -> None:
    large = [item("ann", f"k{n}", n + 1, bytes([n]) * 30_000) for n in range(3)]
    there = store(*large)
    places = [entry[0] for entry in there.tree.entries("")]
    asked = (places[0], bytes(32), places[1], places[2])
    said = decode(Sessions(there).answer(encode(1, Want(asked), answer=False), NOW)).body
    assert isinstance(said, Found)
    assert (len(said.items), said.answered) == (1, 2)


def test_a_late_answer_to_a_question_that_was_given_up_is_passed_over() -> None:
    full, empty = Sessions(store(*many("ann", 250))), Sessions(store())
    session = empty.open(NOW)
    while session.question is not None:
        question = session.question
        late = encode(decode(question).number - 1, decode(full.answer(question, NOW)).body, answer=True)
        before = session.outcome.bytes_received
        session.answered(late, NOW)
        assert (session.question, session.outcome.bytes_received) == (question, before)
        session.answered(full.answer(question, NOW), NOW)
    assert contents(empty.store) == contents(full.store)


def test_a46_one_write_reaches_eight_nodes_within_eight_rounds() -> None:
    for seed in range(20):
        chance = random.Random(seed)
        stores = [store(*many("ann", 3)) for _ in range(8)]
        stores[chance.randrange(8)].take(item("bob", "new"), NOW)
        rounds = 0
        while len({each.root for each in stores}) > 1:
            gossip_round(stores, chance)
            rounds += 1
        assert rounds <= 2 * math.ceil(math.log2(8)) + 2


@pytest.mark.parametrize("batch", [1, 5, 100])
def test_a46_no_message_has_more_items_than_a_batch(batch: int) -> None:
    here, there = store(*many("ann", 17)), store(*many("bob", 13))
    outcome = exchanged(here, there, batch=batch)
    assert here.root == there.root
    assert outcome.questions == 1 + 1 + math.ceil(13 / batch) + math.ceil(17 / batch)


@pytest.mark.ci
def test_a47_one_differing_key_among_10_000_costs_one_item_and_few_hashes() -> None:
    both = many("ann", 10_000)
    here, there = store(*both), store(*both)
    there.take(item("ann", "ann-77", 20_000), NOW)
    outcome = exchanged(here, there)
    assert here.root == there.root
    assert (outcome.items_received, outcome.items_sent) == (1, 0)
    assert outcome.questions <= 1 + math.ceil(math.log(10_000, 16)) + 1
    assert outcome.bytes_sent + outcome.bytes_received < 4_000


@pytest.mark.ci
def test_a47_the_cost_of_a_difference_grows_with_the_logarithm_of_the_size() -> None:
    spent = []
    for size in (100, 1_000, 10_000):
        both = many("ann", size)
        outcome = exchanged(store(*both), store(*both, item("bob")))
        spent.append(outcome.bytes_sent + outcome.bytes_received)
    assert all(large < small + 2_500 for small, large in pairwise(spent))


@table("swapped", [False, True], count=2)
def test_of_two_values_of_one_version_both_sides_keep_the_same(swapped: bool) -> None:
    """Its author is broken or lies; its peers agree all the same."""
    values = [store(*many("bob", 3), item("ann", value=value)) for value in (b"one", b"two")]
    here, there = values[::-1] if swapped else values
    exchanged(here, there)
    assert here.root == there.root
