"""The end of an epoch (R35).

The sequence s of a reconfiguration that took effect is the last of its epoch and a checkpoint. Nothing above
s is proposed, prepared or executed in this epoch, even if a faulty member or an older view claims it. When q
CHECKPOINTs for s are stable, this replica's work is done: the host builds the core of the next epoch, which
begins in view 0 at s + 1. Pending requests are carried into it.

Until s is stable a replica helps other members to reach s, including by view changes: it may be the only
one that knows of the end.
"""

from __future__ import annotations

from dtvn.protocol import canonical
from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus.effects import StateRecord, Successor
from dtvn.protocol.consensus.events import Listener, VotesReleased
from dtvn.protocol.consensus.executor import Step
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.membership import is_reconfiguration
from dtvn.protocol.consensus.requests.policy import Policy
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import VerifiedBatch, VerifiedBundle

EPOCH = "epoch"
"""Name of the state record that holds the newest membership of this ledger."""


def reconfigures(batch: VerifiedBatch) -> bool:
    """Whether a batch may end the epoch."""
    return any(is_reconfiguration(bundle.bundle) for bundle in batch.bundles)


class EpochChange:
    """Owns the sequence at which the epoch ends, and the open sequences that may end it."""

    def __init__(
        self,
        state: State,
        policy: Policy,
        emit: Listener,
    ) -> None:
        self.state = state
        self.policy = policy
        self._emit = emit
        self.ends_at: int | None = None
        """The last sequence of this epoch, once it is executed here."""
        self._open: set[int] = set()
        """Sequences not executed here whose batch may end the epoch."""
        self._begun: StateRecord | None = None
        """The epoch change proof record that proves the end, once it is stable."""

    def restore(self, tail: LedgerTail) -> None:
        """Resume from the end of the ledger. If its last sequence ended the epoch, that end is stable only if
        it was received as a snapshot."""
        state = self.state
        if state.application.membership().epoch > state.config.epoch:
            self.ends_at = state.executed
            self._begun = epoch_change_proof.find(tail.states, state.config.epoch)
            self.on_stable(state.log.stable)
            return
        for slot in state.log.unexecuted(state.executed):
            batch = None if slot.digest is None else state.bodies.get(slot.digest)
            if batch is not None:
                self.note_body(slot.sequence, batch)

    def holds(self, sequence: int) -> bool:
        """Whether votes for a sequence are held back: it is above the end of the epoch, or a possible end."""
        if self.ends_at is not None:
            return sequence > self.ends_at
        return bool(self._open) and sequence > min(self._open)

    def note_body(self, sequence: int, batch: VerifiedBatch) -> None:
        """Note the batch of an open sequence, which may end the epoch."""
        if sequence > self.state.executed and reconfigures(batch):
            self._open.add(sequence)

    def leave_view(self) -> None:
        """Forget the possible ends: their batches are proposed again in the new view, or dropped."""
        self._open.clear()

    def on_executed(self, step: Step) -> None:
        """Check whether the sequence just executed ended the epoch."""
        state = self.state
        sequence = step.entry.sequence
        following = state.application.membership()
        if following.epoch > state.config.epoch:
            self.ends_at = sequence
            self._begun = epoch_change_proof.begun(step, state.executor, following)
            state.outbox.persist(self._begun)
            state.outbox.note("epoch_ends", sequence=sequence, epoch=state.config.epoch)
        elif sequence in self._open:
            # The change was refused, so the epoch continues: give the votes that were held back.
            self._open.discard(sequence)
            self._emit(VotesReleased())

    def on_stable(self, sequence: int) -> None:
        """If the stable sequence is the end of the epoch, hand over to the next one (R35)."""
        if sequence != self.ends_at:
            return
        state = self.state
        state.views.become_ended()
        following = state.application.membership()
        certificate = state.checkpoint.certificate
        proof = epoch_change_proof.sealed(self._begun, () if certificate is None else certificate.frames)
        if proof is not None:
            state.outbox.persist(proof)
        state.outbox.persist(StateRecord(EPOCH, canonical.encode_trimmed(following)))
        state.outbox.note("epoch_over", sequence=sequence, epoch=state.config.epoch)
        state.outbox.succeed(Successor(following, tuple(self._under_way())))

    def _under_way(self) -> list[VerifiedBundle]:
        """Requests in the pool, and requests in slots that are now void."""
        state = self.state
        found = {bundle.digest: bundle for bundle in self.policy.waiting()}
        for slot in state.log.unexecuted(state.executed):
            for digest in slot.proposals:
                batch = state.bodies.get(digest)
                if batch is not None:
                    found.update((bundle.digest, bundle) for bundle in batch.bundles)
        return list(found.values())
