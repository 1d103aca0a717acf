"""Does every honest member keep its vote unless its disk was lost, and nobody else's? (R11)"""

from __future__ import annotations

from simulator.checkers.base import Checker
from simulator.node import Node
from simulator.world import World
from validators.consensus import messages as m
from validators.consensus.effects import Executed, Note

__all__ = ["Franchise"]

VOTES = frozenset({m.PrePrepare, m.Prepare, m.Commit, m.Checkpoint, m.ViewChange, m.NewView})


class Franchise(Checker):
    """No liar can talk a member out of its vote; one that lost its ledger has none until it says why."""

    name = "franchise"
    kinds = VOTES
    notes = frozenset({"follower"})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._left: set[bytes] = set()
        """VIEW-CHANGEs said while their members had a vote."""

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        # Who lost its disk once may find later that it said more than anybody showed it.
        whole = node.honest and node.disk.voting and not node.losses
        if isinstance(note, Note) and note.kind == "follower" and whole:
            self.fail(f"{node.name} gave up its vote: {note.fields}")

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Checker."""
        if not node.honest:
            return
        if node.disk.voting:
            if m.KINDS[frame[1]] is m.ViewChange:
                self._left.add(frame)
            return
        if frame in self._left:
            return  # the basis of a view, word for word, for whoever asks: it binds to nothing new
        message = self.world.reading.read(frame)[1]
        if node.said(message):
            self.fail(f"{node.name} lost its ledger and says {type(message).__name__}")
