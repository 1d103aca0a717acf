"""Checkpoints every K sequences, stable with q equal CHECKPOINTs (R24, P6 and P7).

A replica adopts a checkpoint only if it executed the sequence itself and reached the same state. So
stable <= executed always holds, and a replica forgets only what q members signed.
"""

from __future__ import annotations

from dtvn.protocol.consensus.certificate import CheckpointCertificate
from dtvn.protocol.consensus.certificate_comparison import Contradictions
from dtvn.protocol.consensus.contradiction import Content, content_of
from dtvn.protocol.consensus.effects import CheckpointRecord, Prune, Reason, SlotRecord
from dtvn.protocol.consensus.epoch_change import EpochChange
from dtvn.protocol.consensus.events import CheckpointAheadCertified, CheckpointStable, Listener, StateFrozen
from dtvn.protocol.consensus.messages import Checkpoint
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.probes import probe

UNSTABLE_MAX = 256
"""Most checkpoints kept that are executed here but not stable. Only catching up makes more of them than a
window holds; the oldest is forgotten first, and a later one becomes stable instead."""


class Checkpoints:
    """Owns CHECKPOINT votes above the stable one, and its certificate."""

    def __init__(
        self,
        state: State,
        contradictions: Contradictions,
        epoch_change: EpochChange,
        emit: Listener,
    ) -> None:
        self.state = state
        self.contradictions = contradictions
        self.epoch_change = epoch_change
        self._emit = emit
        self.mine: dict[int, bytes] = {}
        """This replica's CHECKPOINT frames above the stable checkpoint."""
        self._contents: dict[int, Content] = {}
        """The states that this replica reached itself, by sequence."""
        self._votes: dict[int, dict[int, tuple[Content, bytes]]] = {}
        self._second: dict[int, dict[int, tuple[Content, bytes]]] = {}
        """Second, differing CHECKPOINTs of members: they never make a checkpoint stable, but prove a fork."""

    def is_due(self) -> bool:
        """Whether a checkpoint executed here is not stable yet."""
        return bool(self._contents)

    def refuse(self, message: Checkpoint) -> Reason | None:
        """Reason to drop a CHECKPOINT before its signature is checked, or None (R5)."""
        state = self.state
        if message.sequence <= state.log.stable and self.contradictions.differs(message):
            return None
        if not state.log.stable < message.sequence <= state.executed + state.log.watermark_span:
            return Reason.OUTSIDE_WINDOW
        # Off the interval only the end of the epoch is a checkpoint; above the own log it is unknown (R35).
        between = message.sequence % state.config.checkpoint_interval and message.sequence <= state.executed
        if between and message.sequence != self.epoch_change.ends_at:
            return Reason.MALFORMED
        known = self._votes.get(message.sequence, {}).get(message.sender)
        if known is None:
            return None
        if known[0] == content_of(message) or state.evidence.known("checkpoint", message):
            return Reason.SECOND_MESSAGE
        return None

    def on_checkpoint(self, verified: Verified[Checkpoint]) -> None:
        """Count a member's signed state after a sequence."""
        message = verified.message
        if (reason := self.refuse(message)) is not None:
            self.state.outbox.refused(reason, verified)
            return
        if message.sequence <= self.state.log.stable:
            self.contradictions.note(message.sequence, message.sender)
            return
        votes = self._votes.setdefault(message.sequence, {})
        known = votes.get(message.sender)
        if known is not None:
            self.state.evidence.note_double("checkpoint", verified, known[1])
            votes = self._second.setdefault(message.sequence, {})
        votes[message.sender] = (content_of(message), verified.frame)
        self._count(message.sequence)

    def on_executed(self, sequence: int) -> None:
        """Sign the state if a checkpoint is due at this sequence."""
        state = self.state
        if sequence <= state.log.stable:
            return
        if sequence % state.config.checkpoint_interval and sequence != self.epoch_change.ends_at:
            return
        executor = state.executor
        content = (state.application.freeze(sequence), executor.log_root(), executor.timestamp)
        self._emit(StateFrozen(sequence))
        self._contents[sequence] = content
        if len(self._contents) > UNSTABLE_MAX:
            self._drop(next(iter(self._contents)))
        if state.voting and sequence + state.log.window > state.lag.target():
            epoch = state.config.epoch
            frame = state.signer.sign(Checkpoint(epoch, state.index, sequence, *content))
            state.outbox.persist(SlotRecord(epoch, 0, sequence, "checkpoint", (frame,)))
            state.outbox.broadcast(frame)
            self.mine[sequence] = frame
            self._votes.setdefault(sequence, {})[state.index] = (content, frame)
        self._count(sequence)

    def restore(self, certificate: CheckpointCertificate | None) -> None:
        """Take the certificate of the stable checkpoint from the ledger; None if members of this cluster did
        not sign it: a cluster that continues another trusts its first checkpoint like genesis."""
        self.state.checkpoint.certificate = certificate

    def remember(self, message: Checkpoint, frame: bytes) -> None:
        """Take this replica's own CHECKPOINT from the ledger (R7)."""
        content = content_of(message)
        self._contents[message.sequence] = content
        self.mine[message.sequence] = frame
        self._votes.setdefault(message.sequence, {})[message.sender] = (content, frame)

    def adopt(self, certificate: CheckpointCertificate) -> None:
        """Adopt a proved checkpoint from inside another message, which moves the low mark (P6).

        A checkpoint above the executed log becomes the target for catching up.
        """
        state = self.state
        if certificate.sequence <= state.log.stable:
            self.contradictions.compare(certificate)
            return
        if certificate.sequence > state.executed:
            probe("checkpoint.proved_above_own_log")
            self._emit(CheckpointAheadCertified(certificate.sequence))
            return
        content = self._contents.get(certificate.sequence)
        if content is None and certificate.sequence == state.executed:
            executor = state.executor
            content = (state.application.freeze(state.executed), executor.log_root(), executor.timestamp)
            self._emit(StateFrozen(state.executed))
        if content is not None:
            probe("checkpoint.adopted_from_a_message")
            self._become_stable(certificate, content)

    def _count(self, sequence: int) -> None:
        state = self.state
        mine = self._contents.get(sequence)
        votes = self._votes.get(sequence, {})
        counts: dict[Content, list[bytes]] = {}
        for member, (content, frame) in votes.items():
            counts.setdefault(content, []).append(frame)
            if mine not in (None, content):
                self.contradictions.note(sequence, member)
        for content, frames in counts.items():
            if len(frames) >= state.q:
                certificate = CheckpointCertificate(sequence, *content, frames=tuple(frames[: state.q]))
                if mine is None:
                    probe("checkpoint.voted_above_own_log")
                    self._emit(CheckpointAheadCertified(sequence))
                else:
                    self._become_stable(certificate, mine)
                return
        if mine is not None and sequence in self._second:
            self._look_for_another(sequence, mine)

    def _look_for_another(self, sequence: int, mine: Content) -> None:
        """Stop if q members signed a state that differs from this replica's, counting second votes too."""
        counts: dict[Content, dict[int, bytes]] = {}
        for votes in (self._votes.get(sequence, {}), self._second[sequence]):
            for member, (content, frame) in votes.items():
                counts.setdefault(content, {})[member] = frame
        for content, frames in counts.items():
            if content != mine and len(frames) >= self.state.q:
                signed = tuple(frames.values())[: self.state.q]
                self._become_stable(CheckpointCertificate(sequence, *content, frames=signed), mine)

    def _become_stable(self, certificate: CheckpointCertificate, mine: Content) -> None:
        state = self.state
        sequence = certificate.sequence
        if content_of(certificate) != mine:
            self.contradictions.against_own(certificate, self.mine.get(sequence))
            return
        self.state.checkpoint.certificate = certificate
        self.contradictions.on_stable(certificate)
        state.outbox.persist(
            CheckpointRecord(
                epoch=state.config.epoch,
                sequence=sequence,
                state_root=certificate.state_root,
                log_root=certificate.log_root,
                timestamp=certificate.timestamp,
                frames=certificate.frames,
            )
        )
        state.outbox.persist(Prune(sequence))
        state.outbox.note("checkpoint_stable", sequence=sequence)
        self.forget(sequence)
        self._emit(CheckpointStable(sequence))

    def forget(self, stable: int) -> None:
        """Drop the checkpoints that the stable one covers."""
        for sequence in {*self.mine, *self._contents, *self._votes, *self._second}:
            if sequence <= stable:
                self._drop(sequence)

    def _drop(self, sequence: int) -> None:
        self.mine.pop(sequence, None)
        self._contents.pop(sequence, None)
        self._votes.pop(sequence, None)
        self._second.pop(sequence, None)

    def said_by(self, member: int) -> list[bytes]:
        """CHECKPOINT frames of a member: those not stable yet, and its part of the stable certificate."""
        frames = [votes[member][1] for votes in self._votes.values() if member in votes]
        for frame in self.state.checkpoint.frames:
            if self.state.signer.open(frame).message.sender == member:
                frames.append(frame)
        return frames
