"""Does a liar that contradicts itself leave evidence, and is no honest member accused? (P12 and P22)"""

from __future__ import annotations

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Executed, Note
from dtvn.protocol.wire import PeerError
from simulator.checkers.base import Checker
from simulator.checkers.statements import Statements
from simulator.node import Node
from simulator.world import World

ENOUGH = 5
"""Contradictions from which on missing evidence is a violation: a single one may be overtaken by a crash, a
view change or a checkpoint."""


class EvidenceKept(Checker):
    """Counts contradictory statements of a liar for one slot that reached one honest member in time."""

    name = "evidence"
    kinds = frozenset({m.PrePrepare, m.Prepare, m.Commit})
    notes = frozenset({"evidence"})

    def __init__(self, world: World, statements: Statements) -> None:
        super().__init__(world)
        self._statements = statements
        self._heard: dict[tuple[str, int, int, int, int, int], bytes] = {}
        self._contradictions = 0
        self._evidence = 0

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Checker."""
        liar = self.world.nodes.get(sender)
        if liar is None or liar.honest:
            return
        node = self.world.nodes.get(receiver)
        if node is None or not node.honest or node.host is None:
            return
        try:
            message = self.world.frame_cache.read(frame)[1]
        except canonical.CanonicalError:
            return
        if not liar.said(message) or node.index is None or message.epoch != node.membership.epoch:
            return
        core = node.core
        if not core.state.views.is_active(message.view) or message.sequence not in core.state.log.slots:
            return
        if message.sequence <= core.executed:
            return
        place = (receiver, frame[1], message.epoch, message.sender, message.view, message.sequence)
        if self._heard.get(place) == message.digest or not self._signed(sender, frame):
            return
        if self._heard.setdefault(place, message.digest) != message.digest:
            self._contradictions += 1

    def _signed(self, sender: str, frame: bytes) -> bool:
        """Whether the frame was signed for this cluster; a liar may send others."""
        try:
            self._statements.read(frame)
        except PeerError:
            return False
        return True

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        if not isinstance(note, Note) or not node.honest:
            return
        self._evidence += 1
        accused = self.world.nodes[node.membership.members[note.fields["sender"]].id]
        if accused.honest:
            self.fail(f"{node.name} holds against {accused.name}, which is honest: {note.fields['text']}")

    def finish(self) -> None:
        """See Checker."""
        if self._contradictions >= ENOUGH and not self._evidence:
            self.fail(f"{self._contradictions} contradictions of liars, and not one piece of evidence")
