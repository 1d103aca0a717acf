"""Many followers over links that lose messages: how soon and at what cost all have an entry (R45).

`simulator.overlay_world` plays them from one seed, which is in each test's name.
"""

from __future__ import annotations

import sys
from math import log2

import pytest

from dtvn.overlay.overlay import REFERRED_MAX
from dtvn.overlay.views import PASSIVE_MAX
from simulator.overlay_peers import MEMBERS, Peer
from simulator.overlay_world import SECOND, OverlayWorld

pytestmark = pytest.mark.exhaustive

NO_EXCHANGE = 3_600 * SECOND
"""Where a thousand address books would only cost time: tests of anti-entropy are below."""


def running(seed: int, followers: int, *, loss: float = 0.1, interval: int = NO_EXCHANGE) -> OverlayWorld:
    """A world whose followers are linked, and have had some entries."""
    world = OverlayWorld(seed, followers, loss=loss, interval=interval)
    world.begin()
    world.run(10)
    for _ in range(6):
        world.commit()
        world.run(0.5)
    return world


def source_of(world: OverlayWorld, peer: Peer) -> Peer | None:
    found = [other for other, slot in peer.links.items() if slot == peer.tree.source]
    return world.peers[found[0]] if found else None


def loops(world: OverlayWorld) -> int:
    """Followers above which there is no member."""
    return sum(not _hangs_on_a_member(world, peer) for peer in world.followers)


def _hangs_on_a_member(world: OverlayWorld, peer: Peer) -> bool:
    above: Peer | None = peer
    for _ in world.peers:
        if above is None or above.is_member:
            return True  # without a source it is in no loop
        above = source_of(world, above)
    return False


def play(seed: int, followers: int) -> float:
    """Ten entries in five seconds at a tenth lost: all followers have each in time; returns the messages that
    a follower sent a second."""
    world = running(seed, followers)
    before, entries = world.messages(), []
    for _ in range(10):
        entries.append(world.commit())
        world.run(0.5)
    rate = (world.messages() - before) / followers / 5
    links = [len(peer.overlay.views.sources) for peer in world.followers]
    lost = loops(world)
    world.run(3)
    slowest = max(world.rounds(sequence) for sequence in entries)
    told = f"seed {seed}, {followers}: {slowest:.1f} rounds, {rate:.1f} messages, {lost} in loops"
    sys.stdout.write(f"{told}, {max(links)} sources at most\n")
    assert slowest <= 2 * log2(followers), told
    assert max(peer.age for peer in world.honest) < 8 * SECOND, "five seconds and the way of a head"
    assert lost <= followers / 50, told
    assert max(links) <= world.fanout + 1 + REFERRED_MAX, "and who was just referred"
    return rate


@pytest.mark.parametrize(
    ("seed", "sizes"),
    [
        (1, (40, 160)),
        (2, (125,)),
        pytest.param(1, (125, 250, 500, 1_000), marks=pytest.mark.exhaustive),
        pytest.param(2, (125, 1_000), marks=pytest.mark.exhaustive),
        pytest.param(3, (125, 1_000), marks=pytest.mark.exhaustive),
    ],
)
def test_r45_entries_take_two_log_n_rounds_and_messages_do_not_grow(
    seed: int, sizes: tuple[int, ...]
) -> None:
    rates = [play(seed, followers) for followers in sizes]
    assert max(rates) < 1.2 * min(rates), f"seed {seed}, messages a second: {rates}"
    assert max(rates) < 25


def test_r45_a_member_pushes_to_no_more_than_its_fanout() -> None:
    world = running(4, 60, loss=0)
    assert max(len(member._followers) for member in world.peers[:MEMBERS]) <= world.fanout
    assert sum(peer.tree.referrals for peer in world.followers) > 0, "others were referred"
    assert all(source_of(world, peer) is not None for peer in world.followers)


def test_r45_when_a_third_of_all_peers_die_the_others_have_the_next_entry_within_two_seconds() -> None:
    world = running(5, 120, loss=0)
    orphans = [peer for peer in world.followers if source_of(world, peer) in world.followers[::3]]
    assert orphans
    world.kill(world.followers[::3])
    entry = world.commit()
    world.run(2)
    assert world.rounds(entry) <= 20, "2 s"
    world.run(13)
    sizes = [len(peer.overlay.views.active) for peer in world.followers]
    assert min(sizes) >= 2, "the views are filled from the passive ones"
    assert all(world.peers[other].up for peer in world.followers for other in peer.links)


def test_r45_a_parent_that_dies_is_replaced_within_two_seconds() -> None:
    world = running(6, 40, loss=0)
    parent = max(world.followers, key=lambda peer: len(peer._followers))
    children = [world.peers[number] for number in parent._followers]
    assert children
    world.kill([parent])
    world.run(2)
    found = [source_of(world, child) for child in children]
    assert all(source is not None and source.up for source in found)
    entry = world.commit()
    world.run(1)
    assert world.rounds(entry) <= 10


def test_r45_a_storm_of_newcomers_through_one_member_ends_in_one_overlay() -> None:
    world = OverlayWorld(7, 60, kept=0, interval=SECOND)
    for member in world.peers[:MEMBERS]:
        world.introduce(member, world.peers[:MEMBERS])
        member.act()
    for peer in world.followers:
        world.introduce(peer, [])
        world.at(world.dice.below(SECOND), world.dial, peer.number, 0)
    world.run(30)
    reached, queue = {MEMBERS}, [MEMBERS]
    while queue:
        for other in world.peers[queue.pop()].links:
            if other >= MEMBERS and other not in reached:
                reached.add(other)
                queue.append(other)
    assert len(reached) == 60, "one overlay, also without the members"
    for peer in world.followers:
        assert 1 <= len(peer.overlay.views.active) <= world.fanout + 1
        assert len(peer.overlay.views.passive) <= PASSIVE_MAX
    entry = world.commit()
    world.run(5)
    assert world.rounds(entry) <= 20
    roots = {peer.store.store.root for peer in world.peers}
    assert len(roots) == 1, "and all know all addresses"
    assert len(world.peers[0].store.store) == 64


def test_active_views_are_symmetric_among_relays() -> None:
    world = running(8, 60, loss=0)
    world.run(5)
    for peer in world.followers:
        for key in peer.overlay.views.active:
            other = world.peers[world.numbers[key]]
            assert peer.public in other.overlay.views.active


def test_the_same_seed_plays_the_same_world() -> None:
    first, second = (running(9, 20) for _ in range(2))
    assert first.arrivals == second.arrivals
    assert [peer.counts for peer in first.peers] == [peer.counts for peer in second.peers]
