"""Suspicion, view changes, timers: P4, P5, P13, P14; R29 to R33."""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import (
    NULL_BATCH_DIGEST,
    Executor,
    Ordering,
    Outbox,
    PrimaryMonitor,
    Retransmission,
    Slot,
    SlotRecord,
    Suspicion,
    Timers,
    ViewChanging,
    certificate,
    new_view,
    view_change,
)


@replaces(Suspicion, "_primary_stops", "stopping-primary-not-heard", "R29", world="planned-stop")
def stop_not_heard(*_arguments: Any) -> bool:
    """A primary that says that it stops is suspected only when it is silent."""
    return False


@replaces(view_change, "plan", "drops-what-was-prepared", "R33 P4", world="lone-commit")
def prepared_is_dropped(plan: Any, changes: Any) -> Any:
    """A view change carries over no prepared batch."""
    return plan([msgspec.structs.replace(change, prepared=()) for change in changes])


@replaces(view_change, "plan", "lowest-view-wins", "R33 P4", world="two-certificates")
def lowest_view_wins(plan: Any, changes: Any) -> Any:
    """The older of two certificates for one sequence is reproposed."""
    flipped = []
    for change in changes:
        prepared = tuple(msgspec.structs.replace(p, view=-p.view) for p in change.prepared)
        flipped.append(msgspec.structs.replace(change, prepared=prepared))
    return plan(flipped)


@mutant("believes-new-view", "R33 P4", world="lone-commit-swapped-proofs")
def believes_new_view(plant: Plant) -> None:
    """A NEW-VIEW is not recomputed: its proposals are accepted unchecked."""
    module: Any = view_change
    plan, proposals_in = new_view.plan, module._proposals_in

    def believing(self: ViewChanging, verified: Any) -> None:
        message = verified.message
        if not self.views.is_ahead(message.view):
            return
        used = [change for change in self.views.view_changes.values() if change.view == message.view][
            : self.state.q
        ]
        if len(used) < self.state.q:
            return
        said = proposals_in(verified)
        found = plan(used)
        digests = tuple((proposal.sequence, proposal.digest) for proposal in said)

        def as_said(_changes: Any) -> Any:
            return msgspec.structs.replace(found, digests=digests)

        module.plan = as_said
        try:
            self.enter(verified.frame, message, used)
        finally:
            module.plan = plan

    plant.put(ViewChanging, "_try", believing)


@replaces(
    new_view, "read_prepared", "proofs-not-counted", "R33 P4", world="lone-commit-reused-proofs", seed=1
)
def proofs_not_counted(right: Any, proof: Any, nested: Any, config: Any) -> Any:
    """A prepared certificate may rest on votes of another view, or on none."""
    found = right(proof, nested, config)
    proposal = nested.get(proof.pre_prepare)
    if found is not None or proposal is None:
        return found
    message = proposal.message
    return certificate.Prepared(message.view, message.sequence, message.digest, proof)


@replaces(
    new_view,
    "read_checkpoint",
    "checkpoint-not-proved",
    "R24 P4 P7",
    world="lone-commit-fake-checkpoint",
    seed=1,
)
def checkpoint_not_proved(_right: Any, frames: Any, nested: Any, config: Any) -> Any:
    """A checkpoint in a VIEW-CHANGE is believed without a quorum's signatures."""
    first = nested[frames[0]].message
    content = (first.sequence, first.state_root, first.log_root, first.timestamp)
    return certificate.CheckpointCertificate(*content, frames=tuple(frames))


@replaces(view_change, "plan", "holes-stay-open", "R33 P5", world="sequence-gaps", seed=5)
def holes_stay_open(plan: Any, changes: Any) -> Any:
    """A sequence with no certificate below one that has one gets no null request."""
    found = plan(changes)
    digests = tuple(pair for pair in found.digests if pair[1] != NULL_BATCH_DIGEST)
    return msgspec.structs.replace(found, digests=digests)


@replaces(Executor, "effective", "null-request-moves-time", "R3 P5", world="sequence-gaps")
def null_moves_time(right: Any, self: Executor, batch: Any) -> Any:
    """A null request moves batch time on."""
    return right(self, batch) + int(batch.digest == NULL_BATCH_DIGEST)


@replaces(Ordering, "repropose", "reproposal-revalidated", "R19 R3", world="leaderless", seed=5)
def reproposal_revalidated(right: Any, self: Ordering, sequence: int, digest: bytes, frame: bytes) -> Any:
    """The proposals that a NEW-VIEW demands are refused for their view and time like fresh proposals."""
    slot = right(self, sequence, digest, frame)
    slot.reproposed = False
    return slot


@replaces(ViewChanging, "leave", "votes-while-leaving", "R29", world="leaderless", seed=1)
def votes_while_leaving(right: Any, self: ViewChanging, view: int, reason: str) -> None:
    """A member that sent its VIEW-CHANGE continues to vote below it."""
    before = self.views.view
    right(self, view, reason)
    if self.views.changing and self.views.view == view and before + 1 == view:
        self.views.view, self.views.changing = before, False


@replaces(Suspicion, "on_suspect", "one-suspicion-is-enough", "R29 P13", world="false-suspicions")
def one_suspicion_is_enough(_right: Any, self: Suspicion, verified: Any) -> None:
    """A single suspicion makes all members leave the view."""
    view = verified.message.view
    if view > self.state.views.view and self.state.voting:
        self.view_change.leave(view, "one suspicion")


@replaces(Suspicion, "evaluate", "leaves-view-alone", "R29 P13", world="one-way-links", seed=2)
def leaves_alone(_right: Any, self: Suspicion) -> None:
    """A member with a cause of its own leaves without waiting for others."""
    state = self.state
    if state.n == 1 or not state.voting:
        return
    cause = self._own_cause()
    if cause is not None:
        self.view_change.leave(state.views.view + 1, cause)


@replaces(Suspicion, "_say", "never-suspects", "R30 P13", world="idle-primary")
def never_suspects(_right: Any, self: Suspicion) -> None:
    """Suspicions are not sent to others."""
    self._say_again = self.state.now.monotonic + self.state.config.heartbeat


@replaces(Suspicion, "progress_due", "waiting-raises-no-suspicion", "R30 P14", world="idle-primary")
def waiting_is_no_ground(*_arguments: Any) -> None:
    """Waiting requests that make no progress are no cause for suspicion, as long as heartbeats come."""


@replaces(PrimaryMonitor, "cause", "slow-primary-tolerated", "R32 P21", world="slow-primary")
def slowness_endured(*_arguments: Any) -> None:
    """A primary that proposes just before the view timeout is never deposed."""


@replaces(Suspicion, "new_view_due", "new-view-never-awaited", "R29 P13", world="idle-primaries")
def no_new_view_timer(*_arguments: Any) -> None:
    """No member suspects the next primary for not sending its NEW-VIEW."""


@replaces(Timers, "_was_paused", "pause-is-blamed", "R31", world="suspended-nodes", seed=3)
def pause_is_blamed(*_arguments: Any) -> Any:
    """A replica that was suspended takes its own sleep for silence of the primary."""
    return False


@replaces(Suspicion, "on_executed", "empty-batches-are-progress", "R30", world="empty-batcher")
def any_batch_is_progress(right: Any, self: Suspicion, **_requests: bool) -> None:
    """A primary that orders only batches without requests is not suspected, while requests wait."""
    right(self, requests=True)


@replaces(Slot, "place", "early-votes-are-work", "R30 P13", world="votes-before-proposals")
def early_votes_are_work(_right: Any, self: Slot, digest: bytes, frame: bytes, now: int) -> None:
    """A proposal counts as waiting since the first vote for its sequence, which any liar can send arbitrarily
    early."""
    self.proposals[digest] = frame
    self.digest = self.digest or digest


@replaces(Retransmission, "on_status", "no-retransmission", "R33 P13", world="lossy", seed=11)
def nothing_again(*_arguments: Any) -> None:
    """Lost messages are never sent again."""


@replaces(Outbox, "persist", "enters-views-unwritten", "R6 R33", world="leaderless", seed=1)
def views_unwritten(persist: Any, self: Outbox, record: Any) -> None:
    """Entering a view is not made durable: a restart falls back into an older one."""
    if not (isinstance(record, SlotRecord) and record.phase in ("view", "new_view")):
        persist(self, record)
