"""What one overlay takes from its links, passes on, and holds against them (R45, R46)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.overlay import messages as o
from dtvn.overlay.conduct import (
    BURST,
    POINTS_MAX,
    Fault,
)
from dtvn.overlay.ports import Contact
from dtvn.overlay.records import ADDRESS, AddressValue, address_of, signed_address
from dtvn.overlay.records import BURST as BURST_OF_AUTHOR
from dtvn.overlay.views import DIAL_TIME, LEAVES_MAX, PASSIVE_MAX
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import GOSSIP_BYTES_MAX
from dtvn.sync import AHEAD_US_MAX, Item, sign
from simulator.overlay_peers import MEMBERS, Peer
from simulator.overlay_world import SECOND, OverlayWorld


class Alone:
    """One relay whose overlay is driven by hand; the other peers of its world only lend their names."""

    def __init__(self, others: int = 12) -> None:
        self.world = OverlayWorld(1, others + 1)
        self.peer = self.world.peers[MEMBERS]
        self.others = self.world.peers[MEMBERS + 1 :]
        self.overlay = self.peer.overlay
        self.overlay.set_record(self.peer.record, self.world.now)
        self.overlay.take()

    def link(self, *peers: Peer, dialled: bool = False) -> None:
        for peer in peers:
            self.overlay.on_up(peer.public, self.world.now, dialled=dialled)

    def hear(self, peer: Peer, message: o.Message | bytes) -> Reason | None:
        body = message if isinstance(message, bytes) else o.encode(message)
        return self.overlay.receive(peer.public, body, self.world.now)

    def said(self) -> list[tuple[Peer, o.Message]]:
        done = self.overlay.take()
        self.hung_up = [self.world.peers[self.world.numbers[key]] for key in done.hang_ups]
        self.dialled = [self.world.peers[self.world.numbers[item.author]] for item in done.dials]
        return [(self.world.peers[self.world.numbers[key]], o.decode(body)) for key, body in done.sends]

    def befriend(self, *peers: Peer) -> None:
        self.link(*peers)
        for peer in peers:
            assert self.hear(peer, o.Neighbour(False, peer.record)) is None
        self.said()

    def newer(self, peer: Peer, by: int = 1) -> Item:
        value = AddressValue(peer.name, "relay", (("10.1.1.1", 9),))
        return signed_address(self.world.cluster, peer.secret, value, self.world.wall + by)


def test_a_neighbour_is_taken_and_told_where_this_one_listens() -> None:
    alone = Alone()
    first = alone.others[0]
    alone.link(first)
    assert alone.hear(first, o.Neighbour(False, first.record)) is None
    assert alone.said() == [(first, o.NeighbourReply(True, (alone.peer.record,)))]


def test_r45_a_full_relay_refers_and_evicts_only_for_who_has_nobody() -> None:
    alone = Alone()
    near, late = alone.others[:4], alone.others[4]
    alone.befriend(*near)
    alone.overlay.uses([near[0].public])
    alone.link(late)
    alone.hear(late, o.Neighbour(False, late.record))
    [(to, reply)] = alone.said()
    assert to is late
    assert isinstance(reply, o.NeighbourReply)
    assert not reply.accepted
    assert {item.author for item in reply.records} == {peer.public for peer in near}
    alone.hear(late, o.Neighbour(False, late.record))
    [(_to, again)] = alone.said()
    assert isinstance(again, o.NeighbourReply)
    assert late.public not in {item.author for item in again.records}, "it knows itself"
    alone.hear(late, o.Neighbour(True, late.record))
    victim, message = alone.said()[0]
    assert message == o.Disconnect()
    assert victim is not near[0], "the tree uses that link"
    assert late.public in alone.overlay.views.active


def test_r45_a_member_refers_newcomers_and_begins_walks_for_them() -> None:
    world = OverlayWorld(1, 4)
    member, relay, newcomer = world.peers[0], world.peers[4], world.peers[5]
    for peer in (relay, newcomer):
        member.overlay.on_up(peer.public, world.now, dialled=False)
        member.overlay.receive(peer.public, o.encode(o.Join(peer.record)), world.now)
    sends = [(key, o.decode(body)) for key, body in member.overlay.take().sends]
    assert (newcomer.public, o.NeighbourReply(False, (relay.record,))) in sends
    assert (relay.public, o.ForwardJoin(newcomer.record, 6)) in sends


def test_at_the_end_of_its_walk_a_newcomer_is_dialled() -> None:
    alone = Alone()
    near, newcomer = alone.others[0], alone.others[1]
    alone.befriend(near)
    alone.hear(near, o.ForwardJoin(newcomer.record, 0))
    alone.said()
    assert alone.dialled == [newcomer]
    alone.link(newcomer, dialled=True)
    assert (newcomer, o.Neighbour(False, alone.peer.record)) in alone.said()


@pytest.mark.parametrize("neighbour", [False, True])
def test_a_join_in_anothers_name_is_a_lie_and_begins_no_walk(neighbour: bool) -> None:
    alone = Alone()
    near, liar, other = alone.others[:3]
    alone.befriend(near)
    alone.link(liar)
    lie = o.Neighbour(False, other.record) if neighbour else o.Join(other.record)
    assert alone.hear(liar, lie) is Reason.BAD_PROOF
    assert alone.said() == []
    assert alone.overlay.conduct.counts(liar.public) == {Fault.LIED: 1}


def test_who_leaves_its_neighbour_is_not_asked_again_at_once() -> None:
    alone = Alone()
    near = alone.others[0]
    alone.befriend(near)
    assert alone.hear(near, o.Disconnect()) is None
    assert near.public not in alone.overlay.views.neighbours
    assert [to for to, _message in alone.said()] == []
    assert near not in alone.dialled


def test_r45_who_does_not_answer_where_it_was_dialled_comes_last_and_who_was_linked_does_not() -> None:
    alone = Alone()
    near, away = alone.others[:2]
    alone.befriend(near)
    alone.hear(near, o.Rumour(0, (alone.newer(near), alone.newer(away))))
    for peer, failed in ((near, False), (away, True)):
        if not failed:
            alone.overlay.views.linked[near.public] = True
        alone.overlay.on_down(peer.public, alone.world.now)
        known = alone.overlay.book.get(peer.public)
        assert known is not None
        assert known.failed is failed


def test_what_a_node_publishes_is_told_to_its_neighbours() -> None:
    alone = Alone()
    near = alone.others[0]
    alone.befriend(near)
    own = alone.newer(alone.peer, 9)
    alone.overlay.publish(own, alone.world.now)
    [(to, rumour)] = alone.said()
    assert isinstance(rumour, o.Rumour)
    assert (to, rumour.items) == (near, (own,))


def test_a_comparison_of_stores_that_is_none_is_held_against_its_sender() -> None:
    alone = Alone()
    near = alone.others[0]
    alone.befriend(near)
    assert alone.hear(near, o.Exchange(b"nonsense")) is Reason.BAD_SIGNATURE
    assert alone.overlay.conduct.counts(near.public) == {Fault.FORGED: 1}


def test_stores_are_compared_again_after_a_link_broke_in_the_middle() -> None:
    alone = Alone()
    near = alone.others[0]
    for _ in range(2):
        alone.befriend(near)
        alone.world.time += 6 * SECOND
        alone.overlay.tick(alone.world.now)
        assert o.Exchange in [type(message) for _to, message in alone.said()]
        alone.overlay.on_down(near.public, alone.world.now)
        alone.said()


def test_digests_of_items_that_came_are_remembered_up_to_a_bound_the_newest_longest() -> None:
    alone = Alone()
    near = alone.others[0]
    alone.befriend(near)
    gossip = alone.overlay.gossip
    gossip._cache_size = 3
    items = [alone.newer(peer) for peer in alone.others[1:7]]
    for item in items:
        alone.hear(near, o.Rumour(0, (item,)))
    assert gossip.cached == 3
    hits = gossip.hits
    alone.hear(near, o.Rumour(0, tuple(items[3:])))
    assert gossip.hits == hits + 3


def test_a_relay_hangs_up_on_a_member_whose_gossip_lies() -> None:
    """Only members vote over their links."""
    alone = Alone()
    member = alone.world.peers[0]
    alone.link(member)
    for by in range(POINTS_MAX // 100):
        alone.hear(member, o.Rumour(1, (altered(alone.newer(alone.others[5], by)),)))
    alone.said()
    assert alone.hung_up == [member]


def test_who_does_not_answer_is_given_up_and_another_is_dialled() -> None:
    alone = Alone()
    alone.link(alone.world.peers[0])
    alone.hear(alone.world.peers[0], o.Rumour(0, (alone.others[0].record, alone.others[1].record)))
    alone.overlay.tick(alone.world.now)
    alone.said()
    assert set(alone.dialled) == set(alone.others[:2])
    alone.world.time += DIAL_TIME
    alone.overlay.tick(alone.world.now)
    assert not alone.overlay.views.passive


def test_r45_of_more_relays_than_places_those_that_nobody_needs_are_hung_up_oldest_first() -> None:
    alone = Alone()
    alone.befriend(*alone.others[:4])
    dialled = alone.others[4:10]
    alone.overlay.uses([dialled[0].public])
    alone.link(alone.world.peers[0], *dialled, dialled=True)
    alone.said()
    assert alone.hung_up == dialled[1:3], (
        "four of six are left, the source among them; members are beside them"
    )
    for peer in alone.hung_up:
        alone.overlay.on_down(peer.public, alone.world.now)
    alone.said()
    assert alone.hung_up == []


def test_r45_a_full_relay_that_dialled_too_few_dials_more_and_asks_them_for_no_place() -> None:
    """Who dialled it cannot bring it the log, and with few that can an entry is easily missed."""
    alone = Alone()
    near, known = alone.others[:4], alone.others[4:10]
    alone.befriend(*near)
    alone.hear(near[0], o.Rumour(0, tuple(peer.record for peer in known)))
    found: list[Peer] = []
    for _ in range(4):
        alone.world.time += SECOND
        alone.overlay.tick(alone.world.now)
        alone.said()
        found += alone.dialled
        alone.link(*alone.dialled, dialled=True)
        assert not any(isinstance(message, o.Neighbour | o.Join) for _peer, message in alone.said())
    assert len(found) == len(set(found)) == 4
    assert set(found) <= set(known)


def test_r45_a_join_begins_walks_and_no_rumour() -> None:
    alone = Alone()
    near, newcomer = alone.others[:4], alone.others[4]
    alone.befriend(*near)
    alone.link(newcomer)
    alone.hear(newcomer, o.Join(newcomer.record))
    told = alone.said()
    assert not any(isinstance(message, o.Rumour) for _peer, message in told)
    assert {peer for peer, message in told if isinstance(message, o.ForwardJoin)} == set(near)


def test_r46_a_rumour_goes_on_once_and_not_back() -> None:
    alone = Alone()
    near = alone.others[:3]
    alone.befriend(*near)
    news = alone.newer(alone.others[5])
    assert alone.hear(near[0], o.Rumour(2, (news,))) is None
    told = alone.said()
    assert {peer for peer, _message in told} == {near[1], near[2]}
    assert all(message == o.Rumour(1, (news,)) for _peer, message in told)
    assert alone.hear(near[1], o.Rumour(2, (news,))) is None
    assert alone.said() == []
    assert alone.overlay.figures()["cache_hits"] >= 1


def test_a_rumour_without_hops_left_stays() -> None:
    alone = Alone()
    alone.befriend(*alone.others[:3])
    alone.hear(alone.others[0], o.Rumour(0, (alone.newer(alone.others[5]),)))
    assert alone.said() == []


def contact_of(peer: Peer) -> Contact:
    return Contact(peer.record, address_of(peer.record))


def altered(item: Item) -> Item:
    return msgspec.structs.replace(item, version=item.version + 1)


def of_leaf(alone: Alone) -> Item:
    """What a party signs that listens nowhere."""
    leaf = alone.others[9]
    return signed_address(alone.world.cluster, leaf.secret, AddressValue("l", "leaf", ()), alone.world.wall)


def of_stranger(alone: Alone) -> Item:
    public, secret = alone.world.keyring.pair("a stranger")
    del public
    value = AddressValue("x", "relay", (("10.1.1.1", 9),))
    return signed_address(alone.world.cluster, secret, value, alone.world.wall)


@pytest.mark.parametrize(
    ("what", "fault"),
    [
        ("altered", Fault.FORGED),
        ("of another cluster", Fault.FORGED),
        ("older", Fault.REPLAYED),
        ("of a stranger", Fault.STRANGER),
        ("too long", Fault.TOO_LARGE),
        ("no message", Fault.MALFORMED),
        ("an answer to nothing", Fault.UNASKED),
    ],
)
def test_r45_what_is_forged_altered_replayed_or_oversized_goes_nowhere_and_counts(
    what: str, fault: Fault
) -> None:
    alone = Alone()
    near = alone.others[:3]
    alone.befriend(*near)
    other = alone.others[5]
    alone.hear(near[1], o.Rumour(0, (alone.newer(other, 5),)))
    value = AddressValue("y", "relay", (("10.1.1.1", 9),))
    foreign = signed_address(b"x" * 32, other.secret, value, alone.world.wall + 9)
    bodies: dict[str, bytes] = {
        "altered": o.encode(o.Rumour(3, (altered(alone.newer(other, 9)),))),
        "of another cluster": o.encode(o.Rumour(3, (foreign,))),
        "older": o.encode(o.Rumour(3, (alone.newer(other, 1),))),
        "of a stranger": o.encode(o.Rumour(3, (of_stranger(alone),))),
        "too long": bytes(GOSSIP_BYTES_MAX + 1),
        "no message": b"\x01nonsense",
        "an answer to nothing": o.encode(o.ShuffleReply(1, ())),
    }
    alone.said()
    assert alone.hear(near[0], bodies[what]) is not None
    assert alone.said() == []
    assert alone.overlay.conduct.counts(near[0].public) == {fault: 1}
    assert alone.overlay.conduct.counts(near[1].public) == {}


def test_r45_a_record_that_came_before_its_time_is_taken_once_it_has_come() -> None:
    """Its author's clock is ahead: to remember it as old would keep it out for good."""
    alone = Alone()
    near, other = alone.others[0], alone.others[5]
    alone.befriend(near)
    first, early = alone.newer(other, 1), alone.newer(other, AHEAD_US_MAX + SECOND // 1_000)
    alone.hear(near, o.Rumour(0, (first,)))
    for seconds, held in ((0, first), (2, early)):
        alone.world.time += seconds * SECOND
        alone.hear(near, o.Rumour(0, (early,)))
        assert alone.overlay.gossip.store.get(other.public, ADDRESS, "") == held
    assert alone.overlay.conduct.counts(near.public) == {Fault.STRANGER: 1}


def test_r45_an_unchecked_replay_moves_nobody() -> None:
    """An older record is refused without a look at its signature, so nothing of it may be used."""
    alone = Alone()
    near, other = alone.others[0], alone.others[5]
    alone.befriend(near)
    alone.hear(near, o.Rumour(0, (alone.newer(other, 5),)))
    value = AddressValue("evil", "relay", (("10.6.6.6", 6),))
    forged = signed_address(alone.world.cluster, near.secret, value, alone.world.wall)
    forged = msgspec.structs.replace(forged, author=other.public)
    alone.hear(near, o.Shuffle(1, 0, (forged,)))
    held = [contact.value.addresses for contact in alone.overlay.views.passive.values()]
    assert (("10.6.6.6", 6),) not in held


def test_r45_three_forgeries_drop_the_link_and_keep_its_peer_away_for_a_minute() -> None:
    alone = Alone()
    near = alone.others[0]
    alone.befriend(near, alone.others[1])
    for by in range(POINTS_MAX // 100):
        alone.hear(near, o.Rumour(1, (altered(alone.newer(alone.others[5], by)),)))
    alone.said()
    assert alone.hung_up == [near]
    assert alone.overlay.views.neighbours == [alone.others[1].public], "before its link is down"
    alone.overlay.on_down(near.public, alone.world.now)
    assert not alone.overlay.may_link(near.public, alone.world.now)
    assert near.public not in alone.overlay.views.passive
    alone.world.time += 61 * SECOND
    assert alone.overlay.may_link(near.public, alone.world.now)


def test_r45_a_forgery_behind_a_replay_counts_and_nothing_behind_it_is_looked_at() -> None:
    alone = Alone()
    near = alone.others[0]
    alone.befriend(near)
    known = alone.newer(alone.others[5], 5)
    alone.hear(near, o.Rumour(0, (known,)))
    forged, behind = altered(alone.newer(alone.others[6], 9)), alone.newer(alone.others[7], 9)
    replayed = alone.newer(alone.others[5], 1)
    assert alone.hear(near, o.Rumour(0, (replayed, forged, behind))) is Reason.BAD_SIGNATURE
    assert alone.overlay.conduct.counts(near.public) == {Fault.FORGED: 1}
    assert alone.overlay.gossip.store.get(behind.author, ADDRESS, "") != behind


def test_a_member_hangs_up_on_no_member() -> None:
    world = OverlayWorld(1, 1)
    member, other = world.peers[0], world.peers[1]
    member.overlay.on_up(other.public, world.now, dialled=False)
    for _ in range(5):
        member.overlay.receive(other.public, b"nonsense", world.now)
    assert member.overlay.take().hang_ups == [], "they vote over this link"
    assert member.overlay.receive(other.public, o.encode(o.Disconnect()), world.now) is Reason.BUSY


def test_more_messages_than_a_link_may_bring_are_dropped() -> None:
    alone = Alone()
    near = alone.others[0]
    alone.link(near)
    reasons = [alone.hear(near, o.Closest(1, bytes(32))) for _ in range(BURST + 20)]
    assert reasons[BURST:] == [Reason.BUSY] * 20
    assert alone.overlay.conduct.counts(near.public) == {Fault.FLOODED: 20}
    assert len(alone.said()) == BURST
    alone.world.time += SECOND
    assert alone.hear(near, o.Closest(1, bytes(32))) is None


def test_a_shuffle_goes_on_and_its_answer_comes_back_the_same_way() -> None:
    alone = Alone()
    first, second = alone.others[:2]
    alone.befriend(first, second)
    alone.hear(first, o.Shuffle(77, 3, (alone.others[4].record,)))
    [(to, onward)] = alone.said()
    assert to is second
    assert isinstance(onward, o.Shuffle)
    assert (onward.ttl, onward.records) == (2, (alone.others[4].record,))
    assert alone.hear(first, o.ShuffleReply(onward.number + 1, ())) is Reason.NOT_ASKED
    answer = (alone.others[6].record,)
    assert alone.hear(second, o.ShuffleReply(onward.number, answer)) is None
    assert alone.said() == [(first, o.ShuffleReply(77, answer))]


def test_walks_that_are_said_to_be_longer_are_cut_to_their_length() -> None:
    alone = Alone()
    near, other, newcomer = alone.others[:3]
    alone.befriend(near, other)
    alone.hear(near, o.ForwardJoin(newcomer.record, o.TTL_MAX))
    assert alone.said() == [(other, o.ForwardJoin(newcomer.record, 5))]
    alone.hear(near, o.Shuffle(1, o.TTL_MAX, (newcomer.record,)))
    [(to, onward)] = alone.said()
    assert isinstance(onward, o.Shuffle)
    assert (to, onward.ttl) == (other, 2)


def test_of_a_long_referral_the_first_sixteen_are_known_and_two_dialled() -> None:
    alone = Alone(o.SHUFFLE_MAX + 4)
    alone.overlay.refer([canonical.encode(peer.record) for peer in alone.others], alone.world.now)
    alone.said()
    assert set(alone.overlay.views.passive) == {peer.public for peer in alone.others[: o.SHUFFLE_MAX]}
    assert len(alone.dialled) == 2


def test_of_the_store_a_node_looks_for_addresses_every_ten_seconds_while_it_knows_few() -> None:
    alone = Alone()
    for known, found in ((0, 2), (4, 0)):
        passive = alone.overlay.views.passive
        passive.clear()
        alone.overlay.views.offer(contact_of(peer) for peer in alone.others[4 : 4 + known])
        for peer in alone.others[:2]:
            alone.overlay.gossip.store.take(peer.record, alone.world.wall)
        alone.world.time += 10 * SECOND
        alone.overlay.tick(alone.world.now)
        assert sum(peer.public in passive for peer in alone.others[:2]) == found


def test_of_a_full_passive_view_those_make_room_that_a_shuffle_was_answered_with() -> None:
    alone = Alone(PASSIVE_MAX + 3)
    near, known, newcomer = alone.others[0], alone.others[1:-2], alone.others[-1]
    alone.link(alone.world.peers[0], near)
    alone.hear(alone.world.peers[0], o.Rumour(0, tuple(peer.record for peer in known)))
    passive = alone.overlay.views.passive
    before = set(passive)
    assert len(before) == PASSIVE_MAX
    alone.said()
    alone.hear(near, o.Shuffle(1, 0, (newcomer.record,)))
    [(to, reply)] = alone.said()
    assert isinstance(reply, o.ShuffleReply)
    assert (to, len(reply.records)) == (near, 1)
    assert set(passive) == before - {reply.records[0].author} | {newcomer.public}


def test_leaves_have_places_of_their_own_up_to_a_bound() -> None:
    alone = Alone(LEAVES_MAX + 2)
    leaves = alone.others
    alone.link(*leaves)
    accepted = 0
    for leaf in leaves:
        value = AddressValue(leaf.name, "leaf", ())
        record = signed_address(alone.world.cluster, leaf.secret, value, alone.world.wall)
        alone.hear(leaf, o.Neighbour(False, record))
        accepted += sum(isinstance(m, o.NeighbourReply) and m.accepted for _peer, m in alone.said())
    assert accepted == LEAVES_MAX
    assert not alone.overlay.views.active


def test_r45_children_that_a_full_node_names_are_dialled_forged_ones_are_not() -> None:
    alone = Alone()
    child, other = alone.others[:2]
    good = msgspec.msgpack.encode(child.record)
    bad = msgspec.msgpack.encode(altered(other.record))
    leaf = msgspec.msgpack.encode(of_leaf(alone))
    alone.overlay.refer([leaf, good, bad, b"nonsense"], alone.world.now)
    alone.said()
    assert alone.dialled == [child]
    assert alone.overlay.records_of([child.public, other.public]) == [good]


def test_r45_of_its_children_a_full_node_names_those_that_can_be_dialled() -> None:
    alone = Alone()
    relay, near = alone.others[:2]
    leaf = of_leaf(alone)
    alone.befriend(near)
    alone.hear(near, o.Rumour(0, (alone.newer(relay),)))
    alone.overlay.gossip.store.take(leaf, alone.world.wall)
    keys = [leaf.author, relay.public, alone.world.peers[0].public, b"n" * 32]
    assert alone.overlay.records_of(keys) == [canonical.encode(alone.newer(relay))]


def test_r45_points_and_shunning_outlast_hanging_up_and_a_visit_is_refused_too() -> None:
    alone = Alone()
    liar = alone.others[0]
    forged = o.Rumour(0, (altered(alone.newer(alone.others[5], 5)),))
    for _ in range(POINTS_MAX // 100):
        alone.link(liar)
        alone.hear(liar, forged)
        alone.overlay.on_down(liar.public, alone.world.now)
    assert alone.overlay.conduct.is_shunned(liar.public, alone.world.now.monotonic)
    asked = o.encode(o.Closest(1, bytes(32)))
    assert alone.overlay.visit(liar.public, asked, alone.world.now) == (Reason.BUSY, None)
    alone.world.time += 61 * SECOND
    assert alone.overlay.visit(liar.public, asked, alone.world.now)[0] is None
    assert alone.hear(liar, forged) is Reason.BAD_SIGNATURE
    assert alone.overlay.conduct.is_shunned(liar.public, alone.world.now.monotonic), "not all points ran off"


@pytest.mark.parametrize("what", ["older", "of a stranger", "too many"])
def test_r45_one_author_makes_no_honest_peers_leave_each_other(what: str) -> None:
    """Whoever passes on what an author floods is not to blame for it."""
    alone = Alone()
    near, author = alone.others[0], alone.others[5]
    alone.befriend(near)
    alone.hear(near, o.Rumour(0, (alone.newer(author, 5_000),)))
    stranger = of_stranger(alone)
    for number in range(2 * POINTS_MAX):
        item = stranger if what == "of a stranger" else alone.newer(author, number)
        alone.hear(near, o.Rumour(0, (item,) * (64 if what == "too many" else 1)))
    alone.said()
    assert alone.hung_up == []
    assert alone.overlay.conduct._records[near.public].points == 0


def test_r46_new_addresses_of_one_author_cost_few_checks_and_go_on_a_second_later() -> None:
    alone = Alone()
    near, author = alone.others[0], alone.others[5]
    alone.befriend(near)
    before = alone.overlay.gossip.store.checks
    for number in range(20):
        alone.hear(near, o.Rumour(0, (alone.newer(author, number + 1),)))
    assert alone.overlay.gossip.store.checks - before == BURST_OF_AUTHOR
    alone.world.time += SECOND
    newest = alone.newer(author, 100)
    assert alone.hear(near, o.Rumour(0, (newest,))) is None
    assert alone.overlay.gossip.store.get(author.public, ADDRESS, "") == newest


def test_forged_items_use_up_nothing_of_the_author_whose_name_they_bear() -> None:
    alone = Alone()
    near, liar, author = alone.others[0], alone.others[1], alone.others[5]
    alone.befriend(near, liar)
    for number in range(2 * BURST_OF_AUTHOR):
        alone.hear(liar, o.Rumour(0, (altered(alone.newer(author, number + 1)),)))
    assert alone.hear(near, o.Rumour(0, (alone.newer(author, 1),))) is None


def test_items_count_against_a_link_not_only_messages() -> None:
    alone = Alone()
    near = alone.others[0]
    alone.link(near)
    told = o.Rumour(0, (near.record,) * 64)
    reasons = [alone.hear(near, told) for _ in range(BURST // 64 + 1)]
    assert reasons[-1] is Reason.BUSY
    assert reasons[0] is None


@pytest.mark.parametrize("deleted", [False, True])
def test_a_version_of_the_far_future_is_refused_by_store_and_book_and_replaced_by_the_next(
    deleted: bool,
) -> None:
    alone = Alone()
    near, author = alone.others[0], alone.others[5]
    alone.befriend(near)
    stuck = sign(
        alone.world.cluster, author.secret, kind=ADDRESS, key="", version=2**62, deleted=deleted,
        value=b"" if deleted else author.record.value,
    )  # fmt: skip
    assert alone.hear(near, o.Rumour(0, (stuck,))) is Reason.UNKNOWN_SENDER
    following = alone.newer(author)
    assert alone.hear(near, o.Rumour(0, (following,))) is None
    assert alone.overlay.gossip.store.get(author.public, ADDRESS, "") == following
    known = alone.overlay.book.get(author.public)
    assert known is not None
    assert known.item == following
