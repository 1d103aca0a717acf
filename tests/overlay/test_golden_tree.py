"""Whom a follower asks for the log, told of an hour of chance: each question, source, time and figure."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dtvn.overlay.tree import Tree
from tests.golden import Compare

GOLDEN = Path(__file__).parent / "golden"
MS = 1_000_000
PEERS = range(10)
MEMBERS = 3
"""Peers below it are members."""


class TreeStory:
    """A tree, what its peers bring by chance, and whom it asks."""

    def __init__(self, seed: str, *, relays_first: bool) -> None:
        self.chance, self.now, self.executed = random.Random(seed), 0, 0
        self.tree = Tree(range(5), 0, relays_from=MEMBERS, relays_first=relays_first, start=1)
        self.lines = [f"# {seed}"]
        self.up = [*range(5)]
        self.owing: list[int] = []
        """Peers that were asked for entries."""

    def act(self) -> str:
        """One thing that a peer does."""
        chance, tree = self.chance, self.tree
        source = tree.source
        if source is not None and chance.random() < 0.5:
            peer = source
        else:
            peer = chance.choice(self.owing or self.up)
        match chance.randrange(16):
            case 0 if chance.random() < 0.5:
                self.up = sorted(chance.sample(PEERS, chance.randrange(10)))
                self.up = self.up or [0]
                tree.links(self.up, self.now)
                return f"linked are {self.up}"
            case 1 if chance.random() < 0.3:
                tree.lied(peer, self.now)
                return f"{peer} lied"
            case 2 | 3:
                tree.busy(peer, self.now)
                return f"{peer} is busy"
            case 4 | 5:
                tree.brought(peer, 0, self.executed, self.now)
                return f"{peer} brings nothing"
            case 6 | 7 | 8:
                entries = chance.choice((1, 1, 2, 16))
                self.executed += entries
                tree.brought(peer, entries, self.executed, self.now)
                self.owing = [each for each in self.owing if each != peer]
                return f"{peer} brings {entries}"
            case _:
                peer, more = chance.choice(self.up), chance.choice((0, 1, 2, 20))
                head = chance.random() < 0.2
                if head:
                    tree.fresh(self.now)
                tree.announced(peer, self.executed + more, self.now)
                return f"{peer} announces {more} more{', with a head' if head else ''}"

    def step(self) -> None:
        chance, tree = self.chance, self.tree
        said = self.act()
        standing = f"source {tree.source}, due in {(tree.deadline() - self.now) / MS:g} ms"
        self.lines.append(f"{self.now // MS} ms, {self.executed}: {said}; {standing}")
        due = max(tree.deadline(), self.now)
        quick = self.now + chance.choice((1, 100, 310, 1_000, 5_000, 40_000)) * MS
        self.now = min(quick, due) if chance.random() < 0.8 else quick
        for ask in tree.due(self.executed, self.now):
            self.lines.append(f"  {self.now // MS} ms: {ask.what} {ask.peer} from {ask.first} to {ask.last}")
            if ask.what == "fetch":
                self.owing = [*self.owing[-3:], ask.peer]
        expected = [peer for peer in PEERS if tree.expects(peer)]
        lies = [tree.lies(peer) for peer in PEERS]
        figures = f"overtaken {tree.overtakings}, referred {tree.referrals}, lies {lies}"
        self.lines.append(f"  source {tree.source} expects {expected} {figures} {tree.wants_member}")


@pytest.mark.parametrize("relays_first", [False, True])
def test_a_tree_by_chance(golden: Compare, relays_first: bool) -> None:
    name = "relays-first" if relays_first else "members-first"
    story = TreeStory(name, relays_first=relays_first)
    for _step in range(700):
        story.step()
    golden.drawn(GOLDEN / f"tree-{name}.txt", "\n".join(story.lines) + "\n")
