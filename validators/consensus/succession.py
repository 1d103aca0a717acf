"""Phase: the end of an epoch (R35).

The sequence s of a reconfiguration that took effect is the last of its epoch and a checkpoint. Nothing above
it is proposed, prepared or executed in this epoch, whatever a liar or an older view says; when q CHECKPOINTs
for s are stable, this replica's work is done: the host builds the core of the next epoch, which begins in
view 0 at s + 1. Requests that were under way go with it.

Until s is stable a replica helps others to get there, view changes included: it may be the only one that
knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from validators import canonical
from validators.consensus import handover
from validators.consensus.effects import StateRecord, Successor
from validators.consensus.executor import Step
from validators.consensus.membership import is_reconfiguration
from validators.consensus.needs import Recovery
from validators.consensus.verified import VerifiedBatch, VerifiedBundle

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["EPOCH", "Succession", "reconfigures"]

EPOCH = "epoch"
"""Name of the state record that holds the newest membership of this ledger."""


def reconfigures(batch: VerifiedBatch) -> bool:
    """Whether a batch may end the epoch."""
    return any(is_reconfiguration(bundle.bundle) for bundle in batch.bundles)


class Succession:
    """Owns the end of the epoch: where it is, and where it may be."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self.ends_at: int | None = None
        """Executed here, and the last of this epoch."""
        self.over = False
        """s is stable: the next epoch's core takes over at the end of the turn."""
        self._open: set[int] = set()
        """Sequences not executed here whose batch may end the epoch."""
        self._begun: StateRecord | None = None
        """What will prove the end, once it is stable."""

    def restore(self, recovery: Recovery) -> None:
        """Take up where the ledger ends. When its last sequence ended the epoch, that is stable only if it
        came as a snapshot."""
        core = self.core
        if core.application.membership().epoch > core.config.epoch:
            self.ends_at = core.executed
            self._begun = handover.find(recovery.states, core.config.epoch)
            self.on_stable(core.log.stable)
            return
        for slot in core.log.unexecuted(core.executed):
            batch = None if slot.digest is None else core.bodies.get(slot.digest)
            if batch is not None:
                self.note_body(slot.sequence, batch)

    def holds(self, sequence: int) -> bool:
        """Whether nothing may be said for a sequence: it lies above the end, or above what may be it."""
        if self.ends_at is not None:
            return sequence > self.ends_at
        return bool(self._open) and sequence > min(self._open)

    def note_body(self, sequence: int, batch: VerifiedBatch) -> None:
        """The batch of an open sequence is here."""
        if sequence > self.core.executed and reconfigures(batch):
            self._open.add(sequence)

    def leave_view(self) -> None:
        """What was open is proposed again, or forgotten."""
        self._open.clear()

    def on_executed(self, step: Step) -> None:
        """The next sequence was executed: it may have been the last."""
        core = self.core
        sequence = step.entry.sequence
        following = core.application.membership()
        if following.epoch > core.config.epoch:
            self.ends_at = sequence
            self._begun = handover.begun(step, core.execution.executor, following)
            core.outbox.persist(self._begun)
            core.outbox.note("epoch_ends", sequence=sequence, epoch=core.config.epoch)
        elif sequence in self._open:
            # The change was refused, the epoch goes on: votes that waited for this are given now.
            self._open.discard(sequence)
            core.on_free()

    def on_stable(self, sequence: int) -> None:
        """q members signed the end: it is the hand-over (R35)."""
        if sequence != self.ends_at:
            return
        self.over = True
        core = self.core
        following = core.application.membership()
        certificate = core.checkpoints.certificate
        proof = handover.sealed(self._begun, () if certificate is None else certificate.frames)
        if proof is not None:
            core.outbox.persist(proof)
        core.outbox.persist(StateRecord(EPOCH, canonical.encode(following)))
        core.outbox.note("epoch_over", sequence=sequence, epoch=core.config.epoch)
        core.outbox.succeed(Successor(following, tuple(self._under_way())))

    def _under_way(self) -> list[VerifiedBundle]:
        """Requests that wait, and those in slots that are void now."""
        core = self.core
        found = {item.bundle.digest: item.bundle for item in core.pool}
        for slot in core.log.unexecuted(core.executed):
            for digest in slot.proposals:
                batch = core.bodies.get(digest)
                if batch is not None:
                    found.update((bundle.digest, bundle) for bundle in batch.bundles)
        return list(found.values())
