"""Does an honest backup vote only for fresh proposals that its own clock can believe? (R3; P16)"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record, SlotRecord
from dtvn.protocol.wire import Envelope
from simulator.checkers.base import Checker
from simulator.node import Node
from simulator.world import World

MICROSECOND = 1_000
LATE_MAX = 2 * 8_000_000
"""Twice the largest view timeout T, in microseconds, that a slow cluster leads to (R31, decision 0182)."""


class ProposalTime(Checker):
    """Checks what a backup writes down together with its own PREPARE."""

    name = "proposal-time"
    kinds = frozenset({m.PrePrepare})

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._clocks: dict[tuple[str, int, int, bytes], int] = {}
        """(node, view, sequence, digest) -> its wall clock when the primary's proposal arrived first: a
        proposal is judged when its frame is taken from the socket, between then and the vote."""

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
        self._clocks.setdefault(place, node.clock.now().wall)

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
        now = node.clock.now().wall
        place = (node.name, proposal.view, proposal.sequence, proposal.digest)
        ahead = [batch.proposed - clock // MICROSECOND for clock in (now, self._clocks.get(place, now))]
        drift = self.world.settings.parameters.drift_bound
        if min(ahead) > drift or max(ahead) < -drift - LATE_MAX:
            self.fail(f"{node.name} votes for {record.sequence}, whose time is off by {ahead[0]} us")
