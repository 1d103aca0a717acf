"""Does an honest backup vote only for fresh proposals that its own clock can believe? (R3; P16)"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Record, SlotRecord
from dtvn.protocol.wire import Envelope
from simulator.checkers.base import Checker
from simulator.node import Node

MICROSECOND = 1_000
LATE_MAX = 8_000_000
"""Largest view timeout T, in microseconds, that a slow cluster leads to (R31, decision 0095)."""


class ProposalTime(Checker):
    """Checks what a backup writes down together with its own PREPARE."""

    name = "proposal-time"

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
        ahead = batch.proposed - node.clock.now().wall // MICROSECOND
        drift = self.world.settings.parameters.drift_bound
        if not -drift - LATE_MAX <= ahead <= drift:
            self.fail(f"{node.name} votes for {record.sequence}, whose time is off by {ahead} us")
