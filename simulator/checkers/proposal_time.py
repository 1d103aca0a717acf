"""Does an honest backup vote only for fresh proposals that its own clock can believe, and withhold its vote
only from others? (R3; P16)"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol import canonical
from dtvn.protocol.consensus import Replica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Executed, Note, Reason, Record, SlotRecord
from dtvn.protocol.wire import Envelope
from simulator.checkers.base import Checker
from simulator.node import Node
from simulator.world import World

MICROSECOND = 1_000
Place = tuple[str, int, int, bytes]
"""Node, view, sequence, digest."""


class ProposalTime(Checker):
    """Checks what a backup writes down together with its own PREPARE, and why it withholds one."""

    name = "proposal-time"
    kinds = frozenset({m.PrePrepare})
    notes = frozenset({"abstained"})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._clocks: dict[Place, int] = {}
        """The time that it goes by when the primary's proposal arrived first: it is judged when its frame is
        taken from the socket, between then and the vote, and anew each time that it comes again."""
        self._untaken: dict[str, list[Place]] = {}
        """Proposals that wait in a node's socket."""
        self._taken: dict[Place, set[tuple[int, int]]] = {}
        """World time, and the time that it goes by, whenever its loop took the proposal from the socket."""

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Checker."""
        node = self.world.nodes.get(receiver)
        if node is None or not node.honest:
            return
        try:
            said = canonical.decode(m.PrePrepare, canonical.decode(Envelope, frame).body)
        except canonical.CanonicalError:
            return  # a liar's
        place = (receiver, said.view, said.sequence, said.digest)
        self._clocks.setdefault(place, node.goes_by().wall)
        self._untaken.setdefault(receiver, []).append(place)

    def turning(self, node: Node) -> None:
        """See Observer: the node's loop empties its sockets now."""
        for place in self._untaken.pop(node.name, ()):
            self._taken.setdefault(place, set()).add((self.world.time, node.goes_by().wall))

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Checker."""
        if not isinstance(note, Note) or not node.honest or not isinstance(node.core, Replica):
            return
        state = node.core.state
        slot = state.log.slots.get(note.fields["sequence"])
        if note.fields["reason"] != Reason.BAD_TIMESTAMP.value or slot is None or slot.digest is None:
            return
        if slot.abstain_reason is not Reason.BAD_TIMESTAMP:
            return  # of another view, which the replica entered later in the same turn
        batch = state.bodies.get(slot.digest)
        taken = self._clocks_of(node, (node.name, slot.view, slot.sequence, slot.digest))
        if batch is None or not taken:
            return  # relayed by another member
        drift = self.world.settings.parameters.drift_bound
        # One that waited for its view or its body is judged when that came.
        clocks = taken | {node.goes_by().wall}
        ahead = [batch.batch.proposed - clock // MICROSECOND for clock in clocks]
        if all(each <= drift for each in ahead):
            self.fail(f"{node.name} withholds its vote for {slot.sequence}, whose time is off by {ahead} us")

    def _clocks_of(self, node: Node, place: Place) -> set[int]:
        """The time that it went by whenever it took the proposal from the socket, and what that was by the
        clock as it is now: a turn may begin with a step that it held back until then."""
        taken, ahead = self._taken.get(place, ()), node.goes_by().wall - self.world.time
        return {clock for _, clock in taken} | {time + ahead for time, _ in taken}

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Checker."""
        if not node.honest or node.index is None:
            return
        voted = {
            (record.view, record.sequence)
            for record in records
            if isinstance(record, SlotRecord) and record.phase == "prepare"
        }
        for record in records if voted else ():
            if (
                isinstance(record, SlotRecord)
                and record.phase == "pre_prepare"
                and record.body
                and (record.view, record.sequence) in voted
            ):
                self._believable(node, record)

    def _believable(self, node: Node, record: SlotRecord) -> None:
        batch = canonical.decode(m.Batch, record.body)
        proposal = canonical.decode(m.PrePrepare, canonical.decode(Envelope, record.frames[0]).body)
        if batch.origin_view != record.view or proposal.digest == m.NULL_BATCH_DIGEST:
            return  # carried over: its time was checked when it was first proposed
        now = node.goes_by().wall
        place: Place = (node.name, proposal.view, proposal.sequence, proposal.digest)
        clocks = (now, self._clocks.get(place, now), *self._clocks_of(node, place))
        ahead = [batch.proposed - clock // MICROSECOND for clock in clocks]
        drift = self.world.settings.parameters.drift_bound
        if min(ahead) > drift:
            self.fail(f"{node.name} votes for {record.sequence}, whose time is off by {ahead[0]} us")
