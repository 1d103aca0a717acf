"""PRE-PREPARE, PREPARE, COMMIT of the view this replica is in (Castro & Liskov 1999, 4.2).

This replica votes in three functions only: `propose` (own PRE-PREPARE), `try_prepare` (own PREPARE) and
`enter_prepared` (own COMMIT).
It counts the votes of others even where it withholds its own, so it never blocks a decided slot (R21).
"""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.protocol import quorum
from dtvn.protocol.consensus.certificate import CommitCertificate, Prepared
from dtvn.protocol.consensus.certificate_comparison import Contradictions
from dtvn.protocol.consensus.effects import Reason, SlotRecord
from dtvn.protocol.consensus.epoch_change import EpochChange, reconfigures
from dtvn.protocol.consensus.events import Listener, PrimaryHeard
from dtvn.protocol.consensus.execution import Execution
from dtvn.protocol.consensus.log import LateCommits, Slot, Vote
from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST, Commit, Prepare, PreparedProof, PrePrepare
from dtvn.protocol.consensus.rejoin_sequences import RejoinSequences
from dtvn.protocol.consensus.request_key import key_of
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Verified, VerifiedBatch
from dtvn.protocol.probes import probe

PROPOSALS_MAX = 4
"""Maximum digests kept per slot. An honest primary proposes one; a digest beyond the maximum can still be
decided by COMMITs."""


class WithheldForTime(msgspec.Struct, frozen=True):
    """The newest PREPARE that this replica withheld for a proposal's time."""

    at: int
    """Monotonic nanoseconds."""
    ahead: int
    """Microseconds by which the proposal was ahead of this replica's clock."""


class Ordering:
    """Runs the three-phase protocol in the current view."""

    def __init__(
        self,
        state: State,
        contradictions: Contradictions,
        epoch_change: EpochChange,
        execution: Execution,
        rejoin_sequences: RejoinSequences,
        emit: Listener,
    ) -> None:
        self.state = state
        self.contradictions = contradictions
        self.epoch_change = epoch_change
        self.execution = execution
        self.rejoin_sequences = rejoin_sequences
        self._emit = emit
        self.withheld_for_time: WithheldForTime | None = None
        self._prepares_needed = state.q - 1
        self._commits_needed = state.q

    # --- PRE-PREPARE -------------------------------------------------------------------------------

    def refuse_pre_prepare(self, message: PrePrepare, link: int | None) -> Reason | None:
        """Returns why to refuse a PRE-PREPARE before its signature is checked, or None (R5)."""
        state = self.state
        reason = self._refuse_place(message, link)
        if reason is not None:
            return reason
        if message.sender != quorum.primary(message.view, state.n):
            return Reason.NOT_PRIMARY
        if state.views.is_ahead(message.view):
            return None
        if message.sequence <= state.views.reproposed_up_to:
            # Up to `reproposed_up_to`, this view allows only the batches that its NEW-VIEW demands (R33).
            reproposed = state.views.reproposed.get(message.sequence)
            if reproposed is None:
                return Reason.OUTSIDE_WINDOW
            if reproposed[0] != message.digest and state.evidence.known("double_proposal", message):
                return Reason.EQUIVOCATION
        elif message.digest == NULL_BATCH_DIGEST:
            return Reason.BAD_BATCH
        slot = state.log.slots.get(message.sequence)
        if slot is None:
            return None
        if message.digest in slot.proposals:
            settled = message.digest in state.bodies and slot.abstain_reason is None
            return Reason.SECOND_MESSAGE if settled else None
        if len(slot.proposals) >= PROPOSALS_MAX:
            return Reason.EQUIVOCATION
        return None

    def on_pre_prepare(self, verified: Verified[PrePrepare]) -> None:
        """Handles a proposal of a view's primary, received directly from it or relayed."""
        message = verified.message
        state = self.state
        if (reason := self.refuse_pre_prepare(message, verified.peer.member)) is not None:
            state.outbox.refused(reason, verified)
            return
        if state.views.is_ahead(message.view):
            self._keep_for_later(verified)
            return
        reproposed = state.views.reproposed.get(message.sequence)
        if reproposed is not None and reproposed[0] != message.digest:
            state.evidence.note_double("double_proposal", verified, reproposed[1])
            return
        slot = state.log.open(message.sequence, message.view, state.now.monotonic)
        if message.digest not in slot.proposals:
            if slot.digest is not None:
                state.evidence.note_double("double_proposal", verified, slot.proposals[slot.digest])
            slot.place(message.digest, verified.frame, state.now.monotonic)
            if verified.peer.member == message.sender:
                self._emit(PrimaryHeard())
        if verified.batch is not None:
            self.keep_body(verified.batch, message.sequence)
        self.try_prepare(slot)
        self.try_enter_prepared(slot)

    def keep_body(self, batch: VerifiedBatch, sequence: int) -> None:
        """Keeps a batch body and stops asking for it. A body with more operations than an honest replica
        votes for is not kept, since no replica needs it (R20)."""
        state = self.state
        if sum(len(each.bundle.operations) for each in batch.bundles) > state.config.batch_operations_max:
            state.outbox.note("body_refused", sequence=sequence, reason=Reason.TOO_LARGE.value)
        elif state.bodies.add(batch, sequence, state.executed):
            state.batch_fetches.got(batch.digest)
        else:
            state.outbox.note("bodies_full", sequence=sequence)

    def propose(self, batch: VerifiedBatch, sequence: int) -> None:
        """Sends the PRE-PREPARE of this primary for its own batch, durable first (R6): it is its vote."""
        state = self.state
        view, digest = state.views.view, batch.digest
        state.own_votes.cast(view=view, sequence=sequence, phase="pre_prepare", digest=digest)
        frame = state.signer.sign(PrePrepare(state.config.epoch, state.index, view, sequence, digest))
        slot = state.log.open(sequence, view, state.now.monotonic)
        slot.place(digest, frame, state.now.monotonic)
        self._persist(slot, "pre_prepare", (frame,), batch.body)
        slot.digest = slot.durable_digest = digest
        self.keep_body(batch, sequence)
        self.epoch_change.note_body(sequence, batch)
        state.clocks.judge(view, sequence, self._ahead(batch), state.timeouts.timeout)
        state.outbox.broadcast(state.signer.attach(frame, batch.body))
        self.try_enter_prepared(slot)

    def repropose(self, sequence: int, digest: bytes, frame: bytes) -> None:
        """Installs a PRE-PREPARE of the NEW-VIEW once, and votes for it regardless of its content (R19)."""
        state = self.state
        slot = state.log.open(sequence, state.views.view, state.now.monotonic)
        if slot.reproposed:
            return
        slot.reproposed = True
        if digest not in slot.proposals:
            slot.place(digest, frame, state.now.monotonic)
        self.try_prepare(slot)
        self.try_enter_prepared(slot)

    def try_prepare(self, slot: Slot) -> None:
        """Sends the own PREPARE for the slot's first proposal, unless there is a reason to withhold it."""
        state = self.state
        digest = slot.digest
        if digest is None or slot.my_prepare is not None or not state.may_vote(slot.view):
            return
        batch = state.bodies.get(digest)
        if batch is None and state.log.digests.get(slot.sequence) != digest:
            state.batch_fetches.ask(digest, slot.sequence)
            return
        if batch is not None:
            self.epoch_change.note_body(slot.sequence, batch)
        if state.is_primary:
            return  # the primary's PRE-PREPARE is its vote
        reason = self.execution.refuse_digest(slot.sequence, digest)
        if slot.durable_digest not in (None, digest):
            probe("ordering.another_proposal_is_durable")
            reason = Reason.EQUIVOCATION  # this replica's ledger holds another proposal for this slot
        if reason is None and not slot.reproposed and batch is not None:
            reason = self.refuse_content(batch, slot.view, slot.sequence)
        if self.epoch_change.holds(slot.sequence):
            reason = Reason.EPOCH_ENDS
        if reason is not slot.abstain_reason:
            slot.abstain_reason = reason
            if reason is Reason.BAD_TIMESTAMP and batch is not None:
                self._withhold_for_time(slot, batch)
            elif reason is not None:
                state.outbox.note("abstained", sequence=slot.sequence, reason=reason.value)
            if reason is not None:
                probe(f"ordering.abstained_{reason.value}")
        if reason is not None:
            return
        state.own_votes.cast(view=slot.view, sequence=slot.sequence, phase="prepare", digest=digest)
        vote = Prepare(state.config.epoch, state.index, slot.view, slot.sequence, digest)
        frame = state.signer.sign(vote)
        if slot.durable_digest is None:
            self._persist_proposal(slot, digest)
        self._persist(slot, "prepare", (frame,))
        slot.my_prepare = frame
        slot.prepares.add(state.index, digest, frame)
        state.outbox.broadcast(frame)

    def _withhold_for_time(self, slot: Slot, batch: VerifiedBatch) -> None:
        state = self.state
        ahead = self._ahead(batch)
        if slot.withheld_at is None:
            slot.withheld_at = state.now.monotonic
        self.withheld_for_time = WithheldForTime(state.now.monotonic, ahead)
        reason = Reason.BAD_TIMESTAMP.value
        state.outbox.note("abstained", sequence=slot.sequence, reason=reason, ahead_us=ahead)

    def _ahead(self, batch: VerifiedBatch) -> int:
        """Microseconds by which a proposal's time is ahead of the wall clock."""
        return batch.batch.proposed - self.state.now.arrival // 1_000

    def refuse_content(self, batch: VerifiedBatch, view: int, sequence: int) -> Reason | None:
        """Returns why to withhold the own PREPARE from a fresh proposal, or None (R3, R19, R20)."""
        state = self.state
        config = state.config
        if batch.batch.origin_view != view:
            return Reason.BAD_BATCH
        if not batch.bundles and (reason := self._refuse_tick(batch, sequence)) is not None:
            return reason
        if len(batch.body) > config.batch_bytes_max:
            return Reason.BAD_BATCH
        ahead = self._ahead(batch)
        state.clocks.judge(view, sequence, ahead, state.timeouts.timeout)
        if ahead > config.drift_bound:
            return Reason.BAD_TIMESTAMP
        if len(batch.bundles) > 1 and reconfigures(batch):
            return Reason.BAD_BATCH  # a reconfiguration ends the epoch, so it has a batch alone (R35)
        operations = 0
        keys = set()
        for bundle in batch.bundles:
            operations += len(bundle.bundle.operations)
            keys.add(key_of(bundle.bundle))
            if state.application.repeated(bundle.bundle) is not None:
                return Reason.DUPLICATE_REQUEST
        if operations > config.batch_operations_max:
            return Reason.BAD_BATCH
        return None if len(keys) == len(batch.bundles) else Reason.DUPLICATE_REQUEST

    def _refuse_tick(self, batch: VerifiedBatch, sequence: int) -> Reason | None:
        """Returns why to withhold the own PREPARE from an empty batch, or None: only the state before it says
        whether something is due then. Otherwise it may help a member to its vote (R11), within bounds."""
        state = self.state
        if state.executed < sequence - 1:
            return Reason.STATE_BEHIND
        if state.executed >= sequence:
            return None  # it was decided
        due = state.application.due()
        if due is not None and due <= state.executor.effective(batch):
            return None
        return None if self.rejoin_sequences.accept(sequence) else Reason.BAD_BATCH

    def on_executed(self) -> None:
        """The state moved on: an empty batch that waited for it can be judged."""
        slot = self.state.log.slots.get(self.state.executed + 1)
        if slot is not None and slot.abstain_reason is Reason.STATE_BEHIND:
            self.try_prepare(slot)
            self.try_enter_prepared(slot)

    # --- PREPARE -----------------------------------------------------------------------------------

    def refuse_prepare(self, message: Prepare, link: int | None) -> Reason | None:
        """Returns why to refuse a PREPARE before its signature is checked, or None (R5). A second vote of
        the same sender for another digest is let through once, as evidence."""
        state = self.state
        reason = self._refuse_place(message, link)
        if reason is not None:
            return reason
        if message.sender == quorum.primary(message.view, state.n):
            return Reason.FROM_PRIMARY
        slot = state.log.slots.get(message.sequence)
        if slot is None or state.views.is_ahead(message.view):
            return None
        vote = slot.prepares.votes.get(message.sender)
        if vote is not None:
            if vote.digest == message.digest or state.evidence.known("prepare", message):
                return Reason.SECOND_MESSAGE
        elif slot.prepared is not None:
            return Reason.DECIDED
        return None

    def on_prepare(self, verified: Verified[Prepare]) -> None:
        """Counts the PREPARE of a backup, which says that it holds the proposal and its batch."""
        message = verified.message
        state = self.state
        if (reason := self.refuse_prepare(message, verified.peer.member)) is not None:
            state.outbox.refused(reason, verified)
            return
        if state.views.is_ahead(message.view):
            self._keep_for_later(verified)
            return
        slot = state.log.open(message.sequence, message.view, state.now.monotonic)
        vote = slot.prepares.votes.get(message.sender)
        if vote is not None:
            state.evidence.note_double("prepare", verified, vote.frame)
            return
        count = slot.prepares.add(message.sender, message.digest, verified.frame)
        if count >= self._prepares_needed:
            self.try_enter_prepared(slot)

    def try_enter_prepared(self, slot: Slot) -> None:
        """Becomes prepared once a proposal, its body and q - 1 PREPAREs of backups have arrived."""
        state = self.state
        if slot.prepared is not None or not state.views.is_active(slot.view) or state.voting_right.holding:
            return
        counts = slot.prepares.counts
        for digest in slot.proposals:
            if counts.get(digest, 0) < self._prepares_needed:
                continue
            if digest in state.bodies or state.log.digests.get(slot.sequence) == digest:
                self.enter_prepared(slot, digest)
                return
            state.batch_fetches.ask(digest, slot.sequence)

    def enter_prepared(self, slot: Slot, digest: bytes) -> None:
        """Records the prepared certificate, makes it durable, then sends the own COMMIT (R6)."""
        state = self.state
        if self.epoch_change.ends_at is not None and slot.sequence > self.epoch_change.ends_at:
            slot.abstain_reason = Reason.EPOCH_ENDS  # void: never executed, never receipted (R35)
            return
        if self.execution.refuse_digest(slot.sequence, digest) is not None:
            # This batch prepared in an old view, but a later view committed another one. That is no fork,
            # since q COMMITs for this batch cannot exist; there is no reason left to vote for it.
            slot.abstain_reason = Reason.DECIDED
            probe("ordering.prepared_but_executed_otherwise")
            return
        slot.prepared = digest
        if digest != slot.digest:
            probe("ordering.prepared_another_than_the_first")
        if slot.my_prepare is None and not state.is_primary:
            probe("ordering.prepared_without_own_prepare")
        prepares = slot.prepares.frames(digest, self._prepares_needed)
        proof = PreparedProof(slot.proposals[digest], prepares)
        state.log.certificates[slot.sequence] = Prepared(slot.view, slot.sequence, digest, proof)
        if not state.may_vote(slot.view):
            return
        if slot.durable_digest is None:
            self._persist_proposal(slot, digest)
        batch = state.bodies.get(digest)
        body = batch.body if batch is not None and slot.durable_digest != digest else b""
        self._persist(slot, "prepared", (proof.pre_prepare, *prepares), body)
        state.own_votes.cast(view=slot.view, sequence=slot.sequence, phase="commit", digest=digest)
        vote = Commit(state.config.epoch, state.index, slot.view, slot.sequence, digest)
        frame = state.signer.sign(vote)
        self._persist(slot, "commit", (frame,))
        slot.my_commit = frame
        state.outbox.broadcast(frame)
        self._count_commit(slot, state.index, digest, frame)

    # --- COMMIT ------------------------------------------------------------------------------------

    def refuse_commit(self, message: Commit, link: int | None) -> Reason | None:
        """Returns why to refuse a COMMIT before its signature is checked, or None (R5). COMMITs of lower
        views are accepted, since they may still decide (R21). A second COMMIT of the same sender for another
        digest is let through once, as evidence, even if the slot is decided (P3)."""
        state = self.state
        if not state.log.inside(message.sequence):
            return Reason.OUTSIDE_WINDOW
        slot = state.log.slots.get(message.sequence)
        vote = None
        if slot is not None and slot.view == message.view:
            vote = slot.commits.votes.get(message.sender)
        if vote is not None and vote.digest != message.digest:
            return Reason.SECOND_MESSAGE if state.evidence.known("commit", message) else None
        if message.sequence <= state.executed or message.sequence in state.log.decisions:
            return Reason.DECIDED
        if state.views.is_ahead(message.view):
            return state.future.refuse(message, link)
        return None if vote is None else Reason.SECOND_MESSAGE

    def on_commit(self, verified: Verified[Commit]) -> None:
        """Counts the COMMIT of a replica, which says that it holds a prepared certificate."""
        message = verified.message
        state = self.state
        if (reason := self.refuse_commit(message, verified.peer.member)) is not None:
            state.outbox.refused(reason, verified)
            return
        if state.views.is_ahead(message.view):
            self._keep_for_later(verified)
            return
        slot = state.log.slots.get(message.sequence)
        if slot is None and state.views.is_active(message.view):
            slot = state.log.open(message.sequence, message.view, state.now.monotonic)
        if slot is None or slot.view != message.view:
            self._count_late(verified)
            return
        vote = slot.commits.votes.get(message.sender)
        if vote is not None:
            state.evidence.note_double("commit", verified, vote.frame)
            return
        self._count_commit(slot, message.sender, message.digest, verified.frame)

    def _count_commit(self, slot: Slot, sender: int, digest: bytes, frame: bytes) -> None:
        count = slot.commits.add(sender, digest, frame)
        if count >= self._commits_needed:
            frames = slot.commits.frames(digest, self._commits_needed)
            self.decide(CommitCertificate(slot.view, slot.sequence, digest, frames))

    def _count_late(self, verified: Verified[Commit]) -> None:
        message = verified.message
        late = self.state.log.late.setdefault(message.sequence, LateCommits())
        vote = Vote(message.digest, verified.frame)
        if late.add(message.sender, message.view, vote) >= self._commits_needed:
            frames = late.frames(message.view, message.digest)[: self._commits_needed]
            probe("ordering.decided_by_another_view")
            self.decide(CommitCertificate(message.view, message.sequence, message.digest, frames))

    def decide(self, certificate: CommitCertificate) -> None:
        """Records a decision, proved by q COMMITs of one view. The batch is executed as soon as all lower
        sequences are executed and its body has arrived (R21)."""
        state = self.state
        sequence = certificate.sequence
        self.contradictions.on_decided(certificate)
        if sequence <= state.executed:
            return
        state.log.decisions.setdefault(sequence, certificate)
        if certificate.digest not in state.bodies:
            probe("ordering.decided_without_body")
            state.batch_fetches.ask(certificate.digest, sequence)

    # --- shared ------------------------------------------------------------------------------------

    def _refuse_place(self, message: PrePrepare | Prepare, link: int | None) -> Reason | None:
        state = self.state
        if not state.log.inside(message.sequence):
            return Reason.OUTSIDE_WINDOW
        views = state.views
        if message.view < views.view:
            return Reason.OLD_VIEW
        return state.future.refuse(message, link) if views.is_ahead(message.view) else None

    def _keep_for_later(self, verified: Verified[Any]) -> None:
        if (reason := self.state.future.add(verified)) is not None:
            self.state.outbox.refused(reason, verified)

    def _persist_proposal(self, slot: Slot, digest: bytes) -> None:
        batch = self.state.bodies.get(digest)
        body = batch.body if batch is not None else b""
        self._persist(slot, "pre_prepare", (slot.proposals[digest],), body)
        slot.durable_digest = digest

    def _persist(self, slot: Slot, phase: str, frames: tuple[bytes, ...], body: bytes = b"") -> None:
        epoch = self.state.config.epoch
        self.state.outbox.persist(SlotRecord(epoch, slot.view, slot.sequence, phase, frames, body))
