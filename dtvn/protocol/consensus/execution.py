"""Execute decided batches in order, and answer their clients (R16, R21, R22)."""

from __future__ import annotations

from dtvn.protocol.consensus.certificate_comparison import Contradictions
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.effects import EntryRecord, Reason
from dtvn.protocol.consensus.epoch_change import EpochChange
from dtvn.protocol.consensus.events import Executed, Listener
from dtvn.protocol.consensus.executor import Step, subtree_paths
from dtvn.protocol.consensus.messages import Receipt, Reply
from dtvn.protocol.consensus.requests.policy import Policy
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import VerifiedBatch


class Execution:
    """Owns the head of the executed log; only this class moves it."""

    def __init__(
        self,
        state: State,
        checkpoints: Checkpoints,
        policy: Policy,
        contradictions: Contradictions,
        epoch_change: EpochChange,
        emit: Listener,
    ) -> None:
        self.state = state
        self.checkpoints = checkpoints
        self.policy = policy
        self.contradictions = contradictions
        self.epoch_change = epoch_change
        self._emit = emit
        self.executor = state.executor

    def run(self) -> None:
        """Execute decided sequences in order, as long as their bodies are present."""
        state = self.state
        executor = self.executor
        decisions = state.log.decisions
        while (decision := decisions.get(executor.executed + 1)) is not None:
            if self.epoch_change.ends_at is not None:
                return
            batch = state.bodies.get(decision.digest)
            if batch is None:
                state.batch_fetches.ask(decision.digest, decision.sequence)
                return
            step = self.perform(batch, commits=decision.frames, view=decision.view)
            self.checkpoints.on_executed(step.entry.sequence)

    def perform(
        self, batch: VerifiedBatch, *, commits: tuple[bytes, ...], view: int, answer: bool = True
    ) -> Step:
        """Execute the next sequence, and persist its entry and proof in this turn (R6, R9)."""
        state = self.state
        step = self.executor.execute(batch)
        sequence = step.entry.sequence
        state.log.on_executed(sequence, batch.digest)
        self.contradictions.on_executed(sequence, commits)
        state.outbox.persist(EntryRecord(step.entry, step.entry_hash, batch.body, commits))
        state.outbox.executed(step.note(view))
        self.policy.on_executed(sequence, batch)
        if answer:
            self._reply(step)
        self._emit(Executed(bool(batch.bundles), batch.batch.origin_view))
        self.epoch_change.on_executed(step)
        return step

    def _reply(self, step: Step) -> None:
        """Send one reply per executed request, all with one receipt for the sequence."""
        done = step.done()
        if not done:
            return
        state = self.state
        receipt = state.signer.sign(
            Receipt(state.config.epoch, state.index, step.entry.sequence, step.entry_hash)
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
            frame = state.signer.link(reply)
            state.outbox.reply(inner.principal, inner.client, frame)
            self.policy.on_answered(bundle.digest, frame)

    def refuse_digest(self, sequence: int, digest: bytes) -> Reason | None:
        """EQUIVOCATION if another batch was executed at this sequence; else None."""
        known = self.state.log.digests.get(sequence)
        return None if known is None or known == digest else Reason.EQUIVOCATION
