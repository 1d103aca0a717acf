"""The primary turns waiting requests into proposals (R2, R3, R20).

It proposes at once when nothing is in flight, else when a batch is full or has waited `batch_delay`. The
pipeline bound and the window are the only backpressure (PITFALLS row 6).

While several principals are active, batches are small and little is in flight: each principal waits for the
others' requests that execute before its own, and a batch of all waiting requests would consist mostly of
those of the principal with the most requests (R30).
"""

from __future__ import annotations

from dtvn.protocol import canonical
from dtvn.protocol.consensus.clients import Clients
from dtvn.protocol.consensus.effects import SlotRecord
from dtvn.protocol.consensus.epoch_change import EpochChange
from dtvn.protocol.consensus.execution import Execution
from dtvn.protocol.consensus.messages import Batch, PrePrepare, batch_digest
from dtvn.protocol.consensus.ordering import Ordering
from dtvn.protocol.consensus.requests.pending import Pending
from dtvn.protocol.consensus.requests.throughput import work_of
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import VerifiedBatch, VerifiedBundle
from dtvn.protocol.probes import probe

__all__ = ["Proposing"]

SECOND = 1_000_000_000
LEAST = 8 * work_of(1)
"""Units of work that may always be in flight while several principals are active: eight requests of one
operation each."""
ROUND_TRIPS = 2
"""Besides LEAST, as much may be in flight as is executed during this many round trips. A proposal takes one
and a half round trips to its execution; more work would only wait in the members' queues, ahead of other
principals' requests."""
NEAR = 5_000_000
"""Nanoseconds of a round trip not counted for ROUND_TRIPS: members on one site spend them in queues for their
processors, and more work in flight would only make those queues longer."""
LONG_WAIT = 4
"""Once all recently active principals have waited for T / LONG_WAIT, requests go out as fast as the pipeline
takes them, since small batches cost throughput. A principal with many open requests waits long because of
them, and cannot lift the limit by that alone (0168)."""
TOLD_WAIT = 8
"""Requests also go out as fast as the pipeline takes them once a request that other members wait for has
waited here for T / TOLD_WAIT: those members find a primary slow above a quarter of T."""


class Proposing:
    """Owns the next sequence to propose."""

    def __init__(
        self,
        state: State,
        clients: Clients,
        epoch_change: EpochChange,
        execution: Execution,
        ordering: Ordering,
    ) -> None:
        self.state = state
        self.clients = clients
        self.epoch_change = epoch_change
        self.execution = execution
        self.ordering = ordering
        self.next_sequence = 1
        self.hold_until = 0
        """No new batch is proposed before this sequence is executed: requests in slots up to it may also wait
        in the pool, and would be proposed twice."""

    def begin(self, highest: int) -> None:
        """Starts proposing as the primary of the view. Slots up to `highest` are taken."""
        self.next_sequence = highest + 1
        self.hold_until = highest

    def ready_at(self) -> int | None:
        """Monotonic time when the next proposal may go out; None if none is allowed or needed."""
        state = self.state
        pool = state.pool
        if not pool.waiting_operations or not state.may_vote(state.views.view) or not state.is_primary:
            return None
        executed = state.executed
        if executed < self.hold_until:
            probe("proposing.holds_until_reproposed_is_executed")
            return None
        following = max(self.next_sequence, executed + 1)
        if self.epoch_change.holds(following):
            return None
        in_flight = following - 1 - executed
        if in_flight >= state.config.pipeline:
            probe("proposing.pipeline_full")
            return None
        if following > state.log.stable + state.log.window:
            probe("proposing.window_full")
            return None
        arrived = pool.oldest_waiting()
        if arrived is None:
            return None
        room = self._room()
        if in_flight and room is not None and pool.work - pool.waiting_work >= room:
            return None
        if (
            in_flight == 0
            or pool.waiting_operations >= state.config.batch_operations_max
            or pool.waiting_bytes >= state.config.batch_bytes_max
            or (room is not None and pool.waiting_work >= LEAST)
        ):
            return state.now.monotonic
        return arrived + state.config.batch_delay

    def run(self) -> None:
        """Sends all proposals that may go out now."""
        state = self.state
        while (ready_at := self.ready_at()) is not None and ready_at <= state.now.monotonic:
            bundles = self._collect()
            if bundles:
                self._propose(bundles)
                self.execution.run()

    def _collect(self) -> list[VerifiedBundle]:
        config, pool = self.state.config, self.state.pool
        room = self._room()
        work = None if room is None else max(LEAST, room // config.pipeline)
        taken = pool.take(config.batch_operations_max, config.batch_bytes_max, work)
        return [item.bundle for item in taken if self._still_wanted(item)]

    def _room(self) -> int | None:
        """Units of work that may be in flight; None if only the pipeline limits them."""
        state = self.state
        if not state.pool.active_clients.several(state.now.monotonic):
            return None
        now, patience = state.now.monotonic, state.timeouts.base
        all_wait, told = state.pool.active_clients.all_wait_since(now), state.pool.told_since()
        if all_wait is not None and now - all_wait > patience // LONG_WAIT:
            return None
        if told is not None and now - told > patience // TOLD_WAIT:
            return None
        rate = state.throughput.rate() or 0
        far = max(0, state.round_trips.shortest() - NEAR)
        return LEAST + rate * ROUND_TRIPS * far // SECOND

    def _still_wanted(self, item: Pending) -> bool:
        """Whether the request is still to be proposed: the state may have settled it while it waited."""
        return self.clients.answer_if_settled(item.bundle) is False

    def _propose(self, bundles: list[VerifiedBundle]) -> None:
        state = self.state
        sequence = max(self.next_sequence, state.executed + 1)
        view = state.views.view
        batch = Batch(
            origin_view=view,
            proposed=state.now.wall // 1_000,
            requests=tuple(bundle.frame for bundle in bundles),
        )
        digest = batch_digest(view, batch.proposed, tuple(bundle.digest for bundle in bundles))
        body = canonical.encode(batch)
        state.ballot.cast(view=view, sequence=sequence, phase="pre_prepare", digest=digest)
        epoch = state.config.epoch
        frame = state.signer.sign(PrePrepare(epoch, state.index, view, sequence, digest))
        state.outbox.persist(SlotRecord(epoch, view, sequence, "pre_prepare", (frame,), body))
        slot = state.log.open(sequence, view, state.now.monotonic)
        slot.place(digest, frame, state.now.monotonic)
        slot.digest = slot.durable = digest
        verified = VerifiedBatch(batch=batch, digest=digest, body=body, bundles=tuple(bundles))
        self.ordering.keep_body(verified, sequence)
        self.epoch_change.note_body(sequence, verified)
        state.outbox.broadcast(state.signer.attach(frame, body))
        self.next_sequence = sequence + 1
        self.ordering.try_enter_prepared(slot)
