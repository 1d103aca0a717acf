"""Relays that withhold, show an old log, follow each other, or lie (R28, R45): followers get the log all the
same. Each world is played again without the rule that guards against it, and must then fail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dtvn.overlay import conduct, tree
from dtvn.overlay.conduct import Conduct, Fault
from dtvn.overlay.records import ADDRESS
from dtvn.overlay.tree import NEVER, Tree
from dtvn.sync import ItemError, checked
from dtvn.sync.store import Store
from simulator.overlay_peers import MEMBERS, Boaster, Fetch, Forger, Looper, Peer, Stale, Withholder
from simulator.overlay_world import SECOND, OverlayWorld

Without = tuple[Any, str, Any]
"""A rule that is taken away: whose, its name, and what is there instead."""


def nothing(*_arguments: Any, **_named: Any) -> None:
    """A rule that does nothing."""


def fails_without(play: Callable[[], None], patch: pytest.MonkeyPatch, without: Without) -> None:
    """The world keeps its promise, and does not without this rule."""
    play()
    with patch.context() as changed:
        changed.setattr(*without)
        with pytest.raises(AssertionError):
            play()


def victim_among(seed: int, kind: type[Peer], liars: int) -> tuple[OverlayWorld, Peer]:
    """One honest follower, the last, that keeps no link to a member and knows no other relays than liars."""
    world = OverlayWorld(seed, liars + 1, kept=0, liars=dict.fromkeys(range(liars), kind))
    for member in world.peers[:MEMBERS]:
        world.introduce(member, world.peers[:MEMBERS])
        member.act()
    for peer in world.followers:
        peer.overlay.conduct.must_drop = lambda _key: False  # type: ignore[method-assign, assignment]
        world.introduce(peer, world.peers)
    victim = world.peers[-1]
    for number in range(MEMBERS, MEMBERS + liars):
        world._connect(victim.number, number)
    for peer in world.followers:
        peer.act()
    return world, victim


def some_lie(seed: int, kind: type[Peer]) -> OverlayWorld:
    """Every fourth of 32 relays lies."""
    world = OverlayWorld(seed, 32, liars=dict.fromkeys(range(0, 32, 4), kind))
    world.begin()
    world.run(8)
    return world


# --- withholding ---------------------------------------------------------------------------------------


def withheld() -> OverlayWorld:
    world = some_lie(1, Withholder)
    for _ in range(8):
        entry = world.commit()
        world.run(1)
        assert world.rounds(entry) <= 10, "a second after it was committed, at the latest"
    return world


def test_r28_what_a_source_withholds_is_asked_of_who_announces_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def play() -> None:
        withheld()

    fails_without(play, monkeypatch, (Tree, "_look_ahead", nothing))


def test_r28_a_source_that_withholds_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def play() -> None:
        world = withheld()
        for peer in world.honest:
            source = next(world.peers[o] for o, slot in peer.links.items() if slot == peer.tree.source)
            assert source.honest, f"{peer.name} follows {source.name}"
        entry = world.commit()
        world.run(1)
        assert world.rounds(entry) <= 5, "no longer after GRACE: the tree brings it"

    fails_without(play, monkeypatch, (Tree, "_on_overtaking", nothing))


# --- stale and looping ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Stale, Looper])
def test_r45_relays_that_show_nothing_new_are_left_for_a_member(
    kind: type[Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def play() -> None:
        world, victim = victim_among(2, kind, 4)
        for _ in range(10):
            world.commit()
            world.run(3)
        entry = world.commit()
        world.run(2)
        assert victim.executed == entry
        assert victim.age < 8 * SECOND

    fails_without(play, monkeypatch, (Tree, "_leads_until", lambda _tree: NEVER))


def test_r45_with_a_link_to_a_member_stale_relays_cost_less_than_a_second() -> None:
    world = some_lie(3, Stale)
    for _ in range(8):
        entry = world.commit()
        world.run(1)
        assert world.rounds(entry) <= 10


def test_relays_that_follow_each_other_get_apart_after_a_few_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Honest relays can close a loop too: what they bring each other comes late, from outside."""

    def play() -> None:
        world = OverlayWorld(4, 12)
        world.begin()
        world.run(8)
        ring = world.peers[MEMBERS + 4 : MEMBERS + 8]
        for peer, following in zip(ring, [*ring[1:], ring[0]], strict=True):
            world._disconnect(peer.number, following.number)
            world._connect(peer.number, following.number)
        for peer, following in zip(ring, [*ring[1:], ring[0]], strict=True):
            peer.tree._switch(peer.links[following.number])
            peer.act()
        world.run(2)
        for _ in range(10):
            world.commit()
            world.run(1)
        entry = world.commit()
        world.run(1)
        assert world.rounds(entry) <= 3.5, "not after GRACE any more"

    fails_without(play, monkeypatch, (Tree, "_switch", _never_again(Tree._switch)))


def _never_again(switch: Callable[[Tree, int | None], None]) -> Callable[[Tree, int | None], None]:
    """Once it has brought or announced something, a source stays."""

    def kept(tree: Tree, peer: int | None) -> None:
        if tree.source is None or tree.source not in tree._links or not tree._executed:
            switch(tree, peer)

    return kept


# --- lies ----------------------------------------------------------------------------------------------


def asked(world: OverlayWorld) -> int:
    """Fetches that honest followers sent."""
    return sum(peer.counts.get(Fetch.__name__, 0) for peer in world.honest)


def test_r45_who_announces_what_nobody_has_is_believed_less(monkeypatch: pytest.MonkeyPatch) -> None:
    def play() -> None:
        world = some_lie(5, Boaster)
        for peer in world.honest:
            peer.overlay.conduct.must_drop = lambda _key: False  # type: ignore[method-assign, assignment]
        before = asked(world)
        for _ in range(20):
            world.commit()
            world.run(1)
        assert world.rounds(20) <= 20
        assert (asked(world) - before) / len(world.honest) < 25, "one in a second would be 20"

    fails_without(play, monkeypatch, (tree, "DISTRUST", 0))


def test_r45_who_brings_what_proves_nothing_is_no_source() -> None:
    """tests/overlay/test_tree.py plays the rule alone: here, who lies is overtaken as well."""
    world = some_lie(6, Boaster)
    for _ in range(10):
        entry = world.commit()
        world.run(1)
    assert world.rounds(entry) <= 20
    for peer in world.honest:
        source = next((o for o, slot in peer.links.items() if slot == peer.tree.source), None)
        assert source is not None
        assert world.peers[source].honest


FORGED = 15
"""Entries, of three seconds each."""


def forged() -> OverlayWorld:
    world = OverlayWorld(7, 16, interval=SECOND, liars=dict.fromkeys(range(0, 16, 4), Forger))
    world.begin()
    for _ in range(FORGED):
        world.commit()
        world.run(3)
    return world


def test_r45_links_of_forgers_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    def play() -> None:
        world = forged()
        dropped = [key for peer in world.honest for key in peer.overlay.conduct._dropped]
        assert len(dropped) >= 4, "of some fifteen links, over which a forger speaks once in seconds"
        assert not any(world.peers[world.numbers[key]].honest for key in dropped)
        assert world.rounds(FORGED) <= 20

    fails_without(play, monkeypatch, (Conduct, "must_drop", lambda _conduct, _key: False))


def test_r46_what_a_forger_altered_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No honest peer keeps it, and so none passes it on, and none is blamed for it by another."""

    def play() -> None:
        world = forged()
        for peer in world.honest:
            for item in peer.store.items(ADDRESS):
                try:
                    checked(world.cluster, item)
                except ItemError as error:
                    raise AssertionError(f"{peer.name} holds a forged item") from error
            for other in peer.links:
                if world.peers[other].honest or other < MEMBERS:
                    counts = peer.overlay.conduct.counts(world.peers[other].public)
                    assert not {Fault.FORGED, Fault.MALFORMED, Fault.TOO_LARGE} & set(counts)

    fails_without(play, monkeypatch, (Store, "proved", nothing))


def test_honest_peers_drop_no_honest_peer() -> None:
    world = OverlayWorld(8, 32, loss=0.1)
    world.begin()
    for _ in range(30):
        world.commit()
        world.run(1)
    worst = max(record.points for peer in world.peers for record in peer.overlay.conduct._records.values())
    assert worst < conduct.POINTS_MAX / 4
    assert not any(peer.overlay.conduct._dropped for peer in world.peers)
