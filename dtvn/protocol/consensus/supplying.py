"""Exchange of batches and frames that one member lacks and another has (R21)."""

from __future__ import annotations

from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.events import Listener, StatementSupplied
from dtvn.protocol.consensus.messages import STATEMENTS, FetchBatch, SupplyBatch, SupplyFrames
from dtvn.protocol.consensus.ordering import Ordering
from dtvn.protocol.consensus.retransmission import SUPPLIED_MAX
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Verified


class Supplying:
    """Answers fetches and hands supplied items to their subprotocols. It has no state of its own."""

    def __init__(
        self,
        state: State,
        ordering: Ordering,
        emit: Listener,
    ) -> None:
        self.state = state
        self.ordering = ordering
        self._emit = emit

    def on_supply_frames(self, verified: Verified[SupplyFrames]) -> None:
        """Dispatches each statement that a member supplied as if it had arrived by itself."""
        for frame in verified.message.frames[:SUPPLIED_MAX]:
            found = verified.nested.get(frame)
            if found is not None and type(found.message) in STATEMENTS:
                self._emit(StatementSupplied(found))

    def on_fetch_batch(self, verified: Verified[FetchBatch]) -> None:
        """Sends a member a batch that it lacks."""
        state = self.state
        member = verified.peer.member
        digest = verified.message.digest
        batch = state.bodies.get(digest)
        if member is None or batch is None or not batch.body:
            return
        if state.throttle.allow(member, digest):
            state.outbox.send(member, state.signer.link(SupplyBatch(batch.body)))

    def on_supply_batch(self, verified: Verified[SupplyBatch]) -> None:
        """Keeps a batch that this replica asked for, and votes on the slots that waited for it."""
        state = self.state
        batch = verified.batch
        if batch is None or batch.digest not in state.batch_fetches:
            state.outbox.refused(Reason.NOT_ASKED, verified)
            return
        self.ordering.keep_body(batch, state.batch_fetches.sequence_of(batch.digest))
        for slot in list(state.log.slots.values()):
            if batch.digest in slot.proposals:
                self.ordering.try_prepare(slot)
                self.ordering.try_enter_prepared(slot)
