"""Phase: batches and frames that one member lacks and another one has (R21)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validators.consensus.effects import Reason
from validators.consensus.messages import STATEMENTS, FetchBatch, SupplyBatch, SupplyFrames
from validators.consensus.reporting import SUPPLIED_MAX
from validators.consensus.verified import Verified

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["Supplying"]


class Supplying:
    """Owns nothing: answers, and hands on what came."""

    def __init__(self, core: Replica) -> None:
        self.core = core

    def on_supply_frames(self, verified: Verified[SupplyFrames]) -> None:
        """Frames that this replica lacked; each counts by itself."""
        for frame in verified.message.frames[:SUPPLIED_MAX]:
            found = verified.nested.get(frame)
            if found is not None and type(found.message) in STATEMENTS:
                self.core.dispatch(found)

    def on_fetch_batch(self, verified: Verified[FetchBatch]) -> None:
        """A member lacks a batch."""
        core = self.core
        member = verified.peer.member
        digest = verified.message.digest
        batch = core.bodies.get(digest)
        if member is None or batch is None or not batch.body:
            return
        if core.throttle.allow(member, digest):
            core.outbox.send(member, core.signer.link(SupplyBatch(batch.body)))

    def on_supply_batch(self, verified: Verified[SupplyBatch]) -> None:
        """A batch that was asked for."""
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
