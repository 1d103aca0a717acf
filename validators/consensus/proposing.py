"""Phase: the primary turns waiting requests into proposals (R2, R3, R20).

At once when nothing is in flight, else when a batch is full or has waited `batch_delay`; within the
pipeline bound and the window, which is all the backpressure there is (PITFALLS row 6).

While several principals ask, little is proposed at a time and little is in flight: each waits for what the
others have before it in execution, and a batch of all that waits would be mostly of whoever asks most (R30).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from validators import canonical
from validators.consensus.effects import SlotRecord
from validators.consensus.messages import Batch, PrePrepare, batch_digest
from validators.consensus.pace import work_of
from validators.consensus.pool import Pending
from validators.consensus.verified import VerifiedBatch, VerifiedBundle
from validators.probes import probe

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["Proposing"]

SECOND = 1_000_000_000
LEAST = 8 * work_of(1)
"""Units of work in flight while several principals ask: so many requests of one operation, ..."""
ROUND_TRIPS = 2
"""... and what is executed during so many round trips, since from a proposal to its execution it takes one
and a half: more would wait in the members' queues, before what others ask."""
NEAR = 5_000_000
"""Nanoseconds of a round trip that members on one site spend in queues for their processors: what is in
flight because of these makes them longer."""
LONG_WAIT = 4
"""Once all that asked of late wait for one part in so many of T, everything goes out as fast as the pipeline
takes it: small batches cost throughput. Who has much open waits long behind that, and gets no more (0168)."""
TOLD_WAIT = 8
"""Everything goes out as well once what other members wait for waited here for one part in so many of T:
they find a primary slow over a quarter."""


class Proposing:
    """Owns the next sequence to propose."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self.next_sequence = 1
        self.hold_until = 0
        """Nothing fresh is proposed before this sequence was executed: requests in slots up to it may
        be waiting here too, and would be proposed twice."""

    def begin(self, highest: int) -> None:
        """This replica leads the view; slots up to `highest` are taken."""
        self.next_sequence = highest + 1
        self.hold_until = highest

    def ready_at(self) -> int | None:
        """Monotonic time when the next proposal may go out, or None: nothing may or need go."""
        core = self.core
        pool = core.pool
        if not pool.waiting_operations or not core.may_vote(core.views.view) or not core.is_primary:
            return None
        executed = core.executed
        if executed < self.hold_until:
            probe("proposing.holds_until_carried_is_executed")
            return None
        following = max(self.next_sequence, executed + 1)
        if core.succession.holds(following):
            return None
        in_flight = following - 1 - executed
        if in_flight >= core.config.pipeline:
            probe("proposing.pipeline_full")
            return None
        if following > core.log.stable + core.log.window:
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
            or pool.waiting_operations >= core.config.batch_operations_max
            or pool.waiting_bytes >= core.config.batch_bytes_max
            or (room is not None and pool.waiting_work >= LEAST)
        ):
            return core.now.monotonic
        return arrived + core.config.batch_delay

    def run(self) -> None:
        """Propose as long as something may go out now."""
        core = self.core
        while (ready_at := self.ready_at()) is not None and ready_at <= core.now.monotonic:
            bundles = self._collect()
            if bundles:
                self._propose(bundles)
                core.execution.run()

    def _collect(self) -> list[VerifiedBundle]:
        config, pool = self.core.config, self.core.pool
        room = self._room()
        work = None if room is None else max(LEAST, room // config.pipeline)
        taken = pool.take(config.batch_operations_max, config.batch_bytes_max, work)
        return [item.bundle for item in taken if self._still_wanted(item)]

    def _room(self) -> int | None:
        """Units of work that may be in flight; None for as much as the pipeline takes."""
        core = self.core
        if not core.pool.askers.several(core.now.monotonic):
            return None
        now, patience = core.now.monotonic, core.suspicion.base
        all_wait, told = core.pool.askers.all_wait_since(now), core.pool.told_since()
        if all_wait is not None and now - all_wait > patience // LONG_WAIT:
            return None
        if told is not None and now - told > patience // TOLD_WAIT:
            return None
        rate = core.pace.rate() or 0
        far = max(0, core.pinging.shortest() - NEAR)
        return LEAST + rate * ROUND_TRIPS * far // SECOND

    def _still_wanted(self, item: Pending) -> bool:
        """State may have moved on while it waited."""
        return self.core.clients.answer_if_settled(item.bundle) is False

    def _propose(self, bundles: list[VerifiedBundle]) -> None:
        core = self.core
        sequence = max(self.next_sequence, core.executed + 1)
        view = core.views.view
        batch = Batch(
            origin_view=view,
            proposed=core.now.wall // 1_000,
            requests=tuple(bundle.frame for bundle in bundles),
        )
        digest = batch_digest(view, batch.proposed, tuple(bundle.digest for bundle in bundles))
        body = canonical.encode(batch)
        core.ballot.cast(view=view, sequence=sequence, phase="pre_prepare", digest=digest)
        epoch = core.config.epoch
        frame = core.signer.sign(PrePrepare(epoch, core.index, view, sequence, digest))
        core.outbox.persist(SlotRecord(epoch, view, sequence, "pre_prepare", (frame,), body))
        slot = core.log.open(sequence, view, core.now.monotonic)
        slot.place(digest, frame, core.now.monotonic)
        slot.digest = slot.durable = digest
        verified = VerifiedBatch(batch=batch, digest=digest, body=body, bundles=tuple(bundles))
        core.ordering.keep_body(verified, sequence)
        core.succession.note_body(sequence, verified)
        core.outbox.broadcast(core.signer.attach(frame, body))
        self.next_sequence = sequence + 1
        core.ordering.advance(slot)
