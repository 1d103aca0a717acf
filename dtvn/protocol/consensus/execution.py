"""Phase: execute decided batches in order, and answer their clients (R16, R21, R22)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dtvn.protocol.consensus.effects import EntryRecord, Reason
from dtvn.protocol.consensus.executor import Executor, Step, subtree_paths
from dtvn.protocol.consensus.messages import Receipt, Reply
from dtvn.protocol.consensus.throughput import work_of
from dtvn.protocol.consensus.verified import VerifiedBatch

if TYPE_CHECKING:
    from dtvn.protocol.consensus.replica import Replica

__all__ = ["Execution"]


class Execution:
    """Owns the head of the executed log; only this class moves it."""

    def __init__(self, core: Replica, executor: Executor) -> None:
        self.core = core
        self.executor = executor

    def run(self) -> None:
        """Execute decided sequences in order, as long as their bodies are present."""
        core = self.core
        executor = self.executor
        decisions = core.log.decisions
        while (decision := decisions.get(executor.executed + 1)) is not None:
            if core.epoch_change.ends_at is not None:
                return
            batch = core.bodies.get(decision.digest)
            if batch is None:
                core.batches.ask(decision.digest, decision.sequence)
                return
            del decisions[decision.sequence]
            step = self.perform(batch, commits=decision.frames, view=decision.view)
            core.checkpoints.on_executed(step.entry.sequence)

    def perform(
        self, batch: VerifiedBatch, *, commits: tuple[bytes, ...], view: int, answer: bool = True
    ) -> Step:
        """Execute the next sequence, and persist its entry and proof in this turn (R6, R9)."""
        core = self.core
        step = self.executor.execute(batch)
        sequence = step.entry.sequence
        core.log.decisions.pop(sequence, None)
        core.log.late.pop(sequence, None)
        core.log.remember(sequence, batch.digest)
        core.contradictions.on_executed(sequence, commits)
        core.outbox.persist(EntryRecord(step.entry, step.entry_hash, batch.body, commits))
        core.outbox.executed(step.note(view))
        self._leave_pool(batch, sequence)
        if answer:
            self._reply(step)
        core.suspicion.on_executed()
        core.epoch_change.on_executed(step)
        return step

    def _leave_pool(self, batch: VerifiedBatch, sequence: int) -> None:
        """Remove the batch's requests from the pool; their waiting times count for or against the primary
        (R32)."""
        core = self.core
        leave = core.clients.leave_pool
        waited = [leave(bundle) for bundle in batch.bundles]
        operations = sum([len(bundle.bundle.operations) for bundle in batch.bundles])
        work = work_of(operations, len(batch.bundles))
        core.throughput.on_executed(work, core.now.monotonic, waiting=len(core.pool) > 0)
        core.primary_monitor.on_executed(sequence, work, waited)

    def _reply(self, step: Step) -> None:
        """Send one reply per executed request, all with one receipt for the sequence."""
        done = step.done()
        if not done:
            return
        core = self.core
        receipt = core.signer.sign(
            Receipt(core.config.epoch, core.index, step.entry.sequence, step.entry_hash)
        )
        paths = subtree_paths([result.subtree for _bundle, result in done])
        for (bundle, result), path in zip(done, paths, strict=True):
            inner = bundle.bundle
            reply = Reply(
                session=inner.session,
                number=inner.number,
                request=bundle.digest,
                entry=step.entry,
                first_index=result.first_index,
                outcomes=result.outcomes,
                path=path,
                receipt=receipt,
            )
            core.outbox.reply(inner.principal, inner.client, core.signer.link(reply))

    def refuse_digest(self, sequence: int, digest: bytes) -> Reason | None:
        """EQUIVOCATION if another batch was executed at this sequence; else None."""
        known = self.core.log.digests.get(sequence)
        return None if known is None or known == digest else Reason.EQUIVOCATION
