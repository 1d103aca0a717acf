"""Two stores, four protocols: the same state in the end, and no more said than is needed (A46, A47, R46)."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from dtvn.sync import Sessions, Store, SyncProtocol
from dtvn.sync.answering import delta
from dtvn.sync.messages import decode, encode
from tests.support.table import table
from tests.sync.support import NOW, exchanged, gossip_round, item, many, store

ALL = list(SyncProtocol)


def contents(found: Store) -> set[bytes]:
    return {each.signature for each in found.items()}


@pytest.mark.parametrize("protocol", ALL)
def test_two_stores_are_equal_after_one_exchange(protocol: SyncProtocol) -> None:
    both = many("ann", 300)
    here = store(*both, *many("bob", 70), item("cat", "k", 5))
    there = store(*both, *many("dan", 130), item("cat", "k", 7), item("ann", "ann-3", 900))
    outcome = exchanged(here, there, protocol)
    assert here.root == there.root
    assert contents(here) == contents(there)
    assert len(here) == 300 + 70 + 130 + 1
    assert outcome.items_received >= 130 + 2
    assert outcome.questions > 1


@pytest.mark.parametrize("protocol", ALL)
def test_equal_stores_exchange_two_roots_and_nothing_else(protocol: SyncProtocol) -> None:
    both = many("ann", 200)
    outcome = exchanged(store(*both), store(*reversed(both)), protocol)
    assert outcome.questions == 1
    assert (outcome.items_received, outcome.items_sent) == (0, 0)
    assert outcome.bytes_sent + outcome.bytes_received < 120


@pytest.mark.parametrize("protocol", ALL)
def test_an_empty_store_takes_everything(protocol: SyncProtocol) -> None:
    here, there = store(), store(*many("ann", 250))
    exchanged(here, there, protocol)
    assert contents(here) == contents(there)
    again, full = store(*many("ann", 250)), store()
    exchanged(again, full, protocol)
    assert contents(full) == contents(again)


def test_a_late_answer_to_a_question_that_was_given_up_is_passed_over() -> None:
    full, now = Sessions(store(*many("ann", 250))), NOW
    empty = Sessions(store())
    session = empty.open(SyncProtocol.MERKLE, now)
    while session.question is not None:
        question = session.question
        late = encode(decode(question).number - 1, decode(full.answer(b"a", question, now)).body, answer=True)
        before = session.outcome.bytes_received
        session.answered(late, now)
        assert (session.question, session.outcome.bytes_received) == (question, before)
        session.answered(full.answer(b"a", question, now), now)
    assert contents(empty.store) == contents(full.store)


def test_a46_one_write_reaches_eight_nodes_within_eight_rounds() -> None:
    for seed in range(20):
        chance = random.Random(seed)
        stores = [store(*many("ann", 3)) for _ in range(8)]
        stores[chance.randrange(8)].take(item("bob", "new"), item().timestamp)
        rounds = 0
        while len({each.root for each in stores}) > 1:
            gossip_round(stores, 1, chance)
            rounds += 1
        assert rounds <= 2 * math.ceil(math.log2(8)) + 2


@pytest.mark.parametrize("batch", [1, 5, 100])
def test_a46_no_message_has_more_items_than_a_batch(batch: int) -> None:
    here, there = store(*many("ann", 23)), store(*many("bob", 17))
    outcome = exchanged(here, there, SyncProtocol.GOSSIP, batch=batch)
    assert here.root == there.root
    assert outcome.questions == 1 + 1 + math.ceil(17 / batch) + math.ceil(23 / batch)


@pytest.mark.ci
def test_a47_one_differing_key_among_10_000_costs_one_item_and_few_hashes() -> None:
    both = many("ann", 10_000)
    here, there = store(*both), store(*both)
    there.take(item("ann", "ann-77", 20_000), item().timestamp)
    outcome = exchanged(here, there, SyncProtocol.MERKLE)
    assert here.root == there.root
    assert (outcome.items_received, outcome.items_sent) == (1, 0)
    assert outcome.questions <= 1 + math.ceil(math.log(10_000, 16)) + 1
    assert outcome.bytes_sent + outcome.bytes_received < 4_000


@pytest.mark.ci
def test_a47_the_cost_of_a_difference_grows_with_the_logarithm_of_the_size() -> None:
    spent = []
    for size in (100, 1_000, 10_000):
        both = many("ann", size)
        here, there = store(*both), store(*both, item("bob"))
        outcome = exchanged(here, there, SyncProtocol.MERKLE)
        spent.append(outcome.bytes_sent + outcome.bytes_received)
    assert all(large < small + 2_500 for small, large in pairwise(spent))


def test_deltas_by_author_need_no_walk_where_all_items_come_in_the_order_of_their_versions() -> None:
    here, there = store(), store()
    for each in many("ann", 500):
        there.put_own(each)
    for each in many("bob", 300):
        here.put_own(each)
    exchanged(here, there, SyncProtocol.CRDT)
    assert here.root == there.root
    there.put_own(item("ann", "ann-7", 501))
    outcome = exchanged(here, there, SyncProtocol.CRDT)
    assert (outcome.items_received, outcome.items_sent, outcome.questions) == (1, 0, 3)
    assert here.root == there.root


def test_a_hole_below_a_claimed_version_is_found_by_the_walk() -> None:
    items = many("ann", 40)
    here, there = store(), store(*items)
    for each in items:
        there.put_own(each)
    here.completed(items[0].author, 0, 40)  # as after a peer lied that it sent everything
    exchanged(here, there, SyncProtocol.CRDT)
    assert here.root == there.root


def test_a_delta_has_nothing_above_what_its_sender_has_whole() -> None:
    """Otherwise what it calls complete would have a hole that no later delta fills."""
    held = store(*many("ann", 7))
    author = item("ann").author
    held.completed(author, 0, 3)
    told = delta(held, {}, 2)
    assert [each.version for each in told.items] == [1, 2]
    assert (told.spans, told.has_more) == (((author, 0, 2),), True)
    told = delta(held, {author: 2}, 2)
    assert [each.version for each in told.items] == [3]
    assert (told.spans, told.has_more) == (((author, 2, 3),), False)


@table("protocol", ALL, count=4)
@table("swapped", [False, True], count=2)
def test_of_two_values_of_one_version_both_sides_keep_the_same(protocol: SyncProtocol, swapped: bool) -> None:
    """Its author is broken or lies; its peers agree all the same."""
    values = [store(*many("bob", 3), item("ann", value=value)) for value in (b"one", b"two")]
    here, there = values[::-1] if swapped else values
    exchanged(here, there, protocol)
    assert here.root == there.root
