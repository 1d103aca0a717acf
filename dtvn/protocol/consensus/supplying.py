"""Phase: exchange of batches and frames that one member lacks and another has (R21)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import STATEMENTS, FetchBatch, SupplyBatch, SupplyFrames
from dtvn.protocol.consensus.reporting import SUPPLIED_MAX
from dtvn.protocol.consensus.verified import Verified

if TYPE_CHECKING:
    from dtvn.protocol.consensus.replica import Replica

__all__ = ["Supplying"]


class Supplying:
    """Answers fetches and hands supplied items to their phases. It has no state of its own."""

    def __init__(self, core: Replica) -> None:
        self.core = core

    def on_supply_frames(self, verified: Verified[SupplyFrames]) -> None:
        """Dispatches each statement that a member supplied as if it had arrived by itself."""
        for frame in verified.message.frames[:SUPPLIED_MAX]:
            found = verified.nested.get(frame)
            if found is not None and type(found.message) in STATEMENTS:
                self.core.dispatch(found)

    def on_fetch_batch(self, verified: Verified[FetchBatch]) -> None:
        """Sends a member a batch that it lacks."""
        core = self.core
        member = verified.peer.member
        digest = verified.message.digest
        batch = core.bodies.get(digest)
        if member is None or batch is None or not batch.body:
            return
        if core.throttle.allow(member, digest):
            core.outbox.send(member, core.signer.link(SupplyBatch(batch.body)))

    def on_supply_batch(self, verified: Verified[SupplyBatch]) -> None:
        """Keeps a batch that this replica asked for, and votes on the slots that waited for it."""
        core = self.core
        batch = verified.batch
        if batch is None or batch.digest not in core.batches:
            core.outbox.refused(Reason.NOT_ASKED, verified)
            return
        core.ordering.keep_body(batch, core.batches.sequence_of(batch.digest))
        for slot in list(core.log.slots.values()):
            if batch.digest in slot.proposals:
                core.ordering.consider(slot)
                core.ordering.advance(slot)
