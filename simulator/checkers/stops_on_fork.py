"""Does an honest member that was shown two certificates which exclude each other stop, and keep both? (R24)

This is the one question that is asked where more members lie than are tolerated: a fork cannot be prevented
then.
"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol.canonical import CanonicalError
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.contradiction import RECORD, Content, Contradiction, content_of, read
from dtvn.protocol.consensus.effects import CheckpointRecord, Executed, Note, Reason, Record
from dtvn.protocol.wire import PeerError
from simulator.checkers.base import Checker
from simulator.checkers.statements import Statements
from simulator.clock import MILLISECOND
from simulator.node import Node
from simulator.world import World

READ_WITHIN = 50 * MILLISECOND
"""Time after its arrival within which a member reads a frame."""


class StopsOnFork(Checker):
    """Reads every certificate itself, from the frames that arrive."""

    name = "stops-on-fork"
    kinds = frozenset({m.Pong, m.ViewChange, m.Entries})
    notes = frozenset({"refused", "contradiction"})

    def __init__(self, world: World, statements: Statements) -> None:
        super().__init__(world)
        self._statements = statements
        self._stable: dict[tuple[str, int, int], Content] = {}
        """(Node, epoch, sequence) -> the state that the node holds as certified."""
        self.shown: dict[str, tuple[int, int, str, int]] = {}
        """Honest node that was shown another certified state -> its epoch and sequence, the sender, the
        time."""

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        for record in records:
            if node.honest and isinstance(record, CheckpointRecord):
                content = (record.state_root, record.log_root, record.timestamp)
                self._stable[node.name, record.epoch, record.sequence] = content

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Checker."""
        node = self.world.nodes.get(receiver)
        if node is None or not node.honest or not node.up or node.paused:
            return
        try:
            message = self.world.frame_cache.read(frame)[1]
            votes = [self._statements.read(each) for each in message.checkpoint]
        except (CanonicalError, PeerError):
            return
        if not votes or not all(isinstance(vote, m.Checkpoint) for vote in votes):
            return
        first = votes[0]
        if len({vote.sender for vote in votes}) < self.quorum_in(first.epoch):
            return
        known = self._stable.get((receiver, first.epoch, first.sequence))
        # Only the newest certified state is remembered; conflicts at older checkpoints are left to an audit.
        if first.sequence == node.disk.stable and known not in (None, content_of(first)):
            self.shown.setdefault(receiver, (first.epoch, first.sequence, sender, self.world.time))

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker. A node does not read what it did not request. Where no more members lie than are
        tolerated, and the program is deterministic, no node may stop."""
        if isinstance(note, Note) and note.kind == "contradiction":
            if node.honest and not self.world.settings.beyond:
                self.fail(f"{node.name} stopped: {note.fields}")
            return
        shown = self.shown.get(node.name)
        if shown is None or not isinstance(note, Note) or note.fields["reason"] != Reason.NOT_ASKED:
            return
        _epoch, _sequence, sender, at = shown
        if self.world.nodes[sender].member_id == note.fields["peer"] and self.world.time < at + READ_WITHIN:
            del self.shown[node.name]

    def started(self, node: Node) -> None:
        """See Checker."""
        if node.halted:
            self.fail(f"{node.name} runs again though {node.halted}")

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Checker."""
        if node.halted:
            self.fail(f"{node.name} speaks though {node.halted}")

    def finish(self) -> None:
        """See Checker."""
        for name, (epoch, sequence, _sender, _at) in self.shown.items():
            node = self.world.nodes[name]
            where = f"{name} was shown two certified states after {sequence}"
            if not node.halted:
                self.fail(f"{where} and goes on")
            kept = read(node.disk.states.values())
            if kept is None or not self._proves(kept, epoch):
                self.fail(f"{where}, and {RECORD} in its ledger does not prove it")

        self._nobody_notices()

    def _nobody_notices(self) -> None:
        """Two sides of a fork have met: at least one of them must have noticed it."""
        sides: dict[tuple[int, int], dict[Content, str]] = {}
        for (name, epoch, sequence), content in self._stable.items():
            if self.world.nodes[name].up:
                sides.setdefault((epoch, sequence), {}).setdefault(content, name)
        for (_epoch, sequence), found in sides.items():
            if len(found) > 1:
                names = " and ".join(found.values())
                self.fail(f"{names} hold different states after {sequence} for certified, and both go on")

    def _proves(self, kept: Contradiction, epoch: int) -> bool:
        """Whether q members signed `theirs`, and `mine` is another certificate for the same sequence. A
        `state` contradiction may have been found in the same turn: then `mine` holds what this node relied on
        before."""
        needed = self.quorum_in(epoch)
        mine, theirs = (
            [self._statements.read(frame) for frame in frames] for frames in (kept.mine, kept.theirs)
        )
        signed = {(vote.sequence, content_of(vote)) for vote in theirs}
        went_by = {(vote.sequence, content_of(vote)) for vote in mine}
        if len(signed) != 1 or len({vote.sender for vote in theirs}) < needed or signed & went_by:
            return False
        if kept.kind == "state":
            return True
        return len(went_by) == 1 and len({vote.sender for vote in mine}) >= needed
