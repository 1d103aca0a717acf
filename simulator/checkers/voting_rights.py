"""Does every honest member keep its vote unless its disk was lost, and only then lose it? (R11)"""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Executed, Note
from simulator.checkers.base import Checker
from simulator.node import Node
from simulator.world import World

VOTES = frozenset({m.PrePrepare, m.Prepare, m.Commit, m.Checkpoint, m.ViewChange, m.NewView})


class VotingRights(Checker):
    """No liar can make a member give up its vote; a member that lost its ledger sends no statement until it
    has its vote back."""

    name = "voting-rights"
    kinds = VOTES
    notes = frozenset({"follower"})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._left: set[bytes] = set()
        """VIEW-CHANGEs sent while their members had a vote."""
        self._kept: dict[str, set[tuple[int, bytes]]] = {}
        """Node without a vote -> (kind, body) of the statements in the ledger with which it started."""

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        # A member that lost its disk once may find later that it sent more than the others had shown it.
        alone = node.member_id not in self.world.twins
        whole = node.honest and node.disk.voting and not node.losses and alone
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
            return  # a VIEW-CHANGE of a NEW-VIEW, sent again unchanged: it binds to nothing new
        envelope, message = self.world.frame_cache.read(frame)
        if node.said(message) and (envelope.kind, envelope.body) not in self._kept.get(node.name, ()):
            self.fail(f"{node.name} lost its ledger and says {type(message).__name__}")

    def started(self, node: Node) -> None:
        """See Observer: what a truncated ledger still holds was said before, and may be said again."""
        if not node.honest or node.disk.voting:
            return
        kept = self._kept[node.name] = set()
        for record in node.disk.slots.values():
            for frame in record.frames:
                envelope, message = self.world.frame_cache.read(frame)
                kept.add((envelope.kind, envelope.body))
                for proposal in message.proposals if isinstance(message, m.NewView) else ():
                    kept.add((m.KIND_OF[m.PrePrepare], self.world.frame_cache.read(proposal)[0].body))
