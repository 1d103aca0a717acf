"""The primary turns waiting requests into proposals (R2, R3, R20).

The policy (`requests`) chooses the requests and the moment. The pipeline bound and the window are the only
backpressure (P6).

Parts of the application's state end by batch time, and another client may wait for that. If such a moment
passes while no request waits and no batch is open, the primary proposes an empty batch, a *tick* (R30). The
application alone knows what is due and when; without anything due an idle cluster orders nothing, unless a
member waits for its vote (`rejoin_sequences`).
"""

from __future__ import annotations

from typing import Protocol

from dtvn.protocol import canonical
from dtvn.protocol.consensus.epoch_change import EpochChange
from dtvn.protocol.consensus.execution import Execution
from dtvn.protocol.consensus.messages import Batch, batch_digest
from dtvn.protocol.consensus.rejoin_sequences import RejoinSequences
from dtvn.protocol.consensus.requests.policy import Policy
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import VerifiedBatch, VerifiedBundle
from dtvn.protocol.probes import probe


class Proposals(Protocol):
    """Sends proposals to the members."""

    def propose(self, batch: VerifiedBatch, sequence: int) -> None:
        """Sends the own batch for a sequence, durable first (R6)."""


class Proposing:
    """Owns the next sequence to propose."""

    def __init__(
        self,
        state: State,
        policy: Policy,
        epoch_change: EpochChange,
        execution: Execution,
        rejoin_sequences: RejoinSequences,
        ordering: Proposals,
    ) -> None:
        self.state = state
        self.policy = policy
        self.epoch_change = epoch_change
        self.execution = execution
        self.rejoin_sequences = rejoin_sequences
        self.ordering = ordering
        self.next_sequence = 1
        self.hold_until = 0
        """No new batch is proposed before this sequence is executed: requests in slots up to it may also wait
        in the pool, and would be proposed twice."""
        self._ticked = -state.config.tick_interval
        """Monotonic time of the last tick."""

    def begin(self, highest: int) -> None:
        """Starts proposing as the primary of the view. Slots up to `highest` are taken."""
        self.next_sequence = highest + 1
        self.hold_until = highest

    def begin_term(self) -> None:
        """Proposes the empty batch with which a leader's term begins (Ongaro & Ousterhout 2014, 8; R44)."""
        self._propose([])

    def ready_at(self) -> int | None:
        """Monotonic time when the next proposal may go out; None if none is allowed or needed."""
        state = self.state
        if not state.is_primary or not state.may_vote(state.views.view):
            return None
        requested = self.policy.has_unproposed()
        due = None if requested else self.tick_at()
        if not requested and due is None:
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
        if not requested:
            return None if in_flight else due
        ready = self.policy.ready_at(in_flight)
        if ready is None or not state.executor.timestamp:
            return ready
        return max(ready, state.clocks.awaited_until(state.timeouts.timeout))

    def tick_at(self) -> int | None:
        """Monotonic time of the next tick; None if nothing is due at any time, and no member waits."""
        state = self.state
        due, wanted = state.application.due(), self.rejoin_sequences.is_wanted()
        if due is None and not wanted:
            return None
        time = self._time()
        if due is None or (wanted and due > time):
            due = time
        return max(state.now.monotonic + 1_000 * (due - time), self._ticked + state.config.tick_interval)

    def run(self) -> None:
        """Sends all proposals that may go out now."""
        state = self.state
        while (ready_at := self.ready_at()) is not None and ready_at <= state.now.monotonic:
            is_tick = not self.policy.has_unproposed()
            bundles = [] if is_tick else self.policy.next_batch()
            if is_tick:
                self._ticked = state.now.monotonic
            if bundles or is_tick:
                if is_tick and not self._is_due():
                    self.rejoin_sequences.note(max(self.next_sequence, state.executed + 1))
                self._propose(bundles)
                self.execution.run()

    def _is_due(self) -> bool:
        """Whether the application's state changes by batch time now."""
        due = self.state.application.due()
        return due is not None and due <= self._time()

    def _time(self) -> int:
        """The time to propose now, Unix microseconds: never one that q members would refuse (R3). An empty
        log has no time yet; its first one is the own clock's."""
        state = self.state
        time = state.clocks.time()
        if time is None:
            last = state.executor.timestamp
            time = last + 1 if last else state.now.wall // 1_000
        return time

    def _propose(self, bundles: list[VerifiedBundle]) -> None:
        state = self.state
        sequence = max(self.next_sequence, state.executed + 1)
        view = state.views.view
        batch = Batch(
            origin_view=view,
            proposed=self._time(),
            requests=tuple(bundle.frame for bundle in bundles),
        )
        verified = VerifiedBatch(
            batch=batch,
            digest=batch_digest(view, batch.proposed, tuple(bundle.digest for bundle in bundles)),
            body=canonical.encode(batch),
            bundles=tuple(bundles),
        )
        self.next_sequence = sequence + 1
        self.ordering.propose(verified, sequence)
