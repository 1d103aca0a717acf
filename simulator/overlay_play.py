"""A random world's overlay: followers with the real address books, views, trees and anti-entropy have each
entry, though links lose messages and some of them die (simulator.overlay_world).

It has a time and a network of its own, and is played before the cluster.
"""

from __future__ import annotations

from simulator.dice import Dice
from simulator.overlay_peers import MEMBERS
from simulator.overlay_world import SECOND, OverlayWorld
from simulator.violation import Violation

CAUGHT_UP = 12
"""Seconds within which those that live have all entries, once nothing is lost any more."""


def play_overlay(dice: Dice) -> None:
    """Raise Violation if an entry does not come to a follower that is up."""
    world = OverlayWorld(
        dice.below(1 << 32),
        dice.between(3, 9),
        loss=dice.below(200) / 1_000,
        fanout=dice.between(2, 4),
        kept=dice.below(3),
        interval=dice.between(1, 5) * SECOND,
    )
    world.begin(over=dice.between(1, 3) * SECOND, knows=dice.between(1, 8))
    world.run(4)
    for _ in range(dice.between(1, 4)):
        world.commit()
        world.run(dice.below(1_000) / 1_000)
        if dice.hit(0.2) and len(world.followers) > 2:
            world.kill([dice.pick(world.peers[MEMBERS:])])
    world.loss = 0.0
    world.run(CAUGHT_UP)
    for sequence in world.committed:
        missing = [peer.name for peer in world.honest if peer.number not in world.arrivals[sequence]]
        if missing:
            raise Violation("overlay", f"entry {sequence} of an overlay has not come to {missing}")
