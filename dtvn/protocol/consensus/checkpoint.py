"""Phase: checkpoints every K sequences, stable with q equal CHECKPOINTs (R24, PITFALLS rows 6 and 7).

A replica adopts a checkpoint only if it executed the sequence itself and reached the same state. So
stable <= executed always holds, and a replica forgets only what q members signed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dtvn.protocol.consensus.certificate import CheckpointCertificate
from dtvn.protocol.consensus.contradiction import Content, content_of
from dtvn.protocol.consensus.effects import CheckpointRecord, Prune, Reason, SlotRecord
from dtvn.protocol.consensus.messages import Checkpoint
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.probes import probe

if TYPE_CHECKING:
    from dtvn.protocol.consensus.replica import Replica

__all__ = ["Checkpoints"]

UNSTABLE_MAX = 256
"""Most checkpoints kept that are executed here but not stable. Only catching up makes more of them than a
window holds; the oldest is forgotten first, and a later one becomes stable instead."""


class Checkpoints:
    """Owns CHECKPOINT votes above the stable one, and its certificate."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self.certificate: CheckpointCertificate | None = None
        """The certificate for `log.stable`; None at the sequence with which genesis begins."""
        self.mine: dict[int, bytes] = {}
        """This replica's CHECKPOINT frames above the stable checkpoint."""
        self._contents: dict[int, Content] = {}
        """The states that this replica reached itself, by sequence."""
        self._votes: dict[int, dict[int, tuple[Content, bytes]]] = {}
        self._second: dict[int, dict[int, tuple[Content, bytes]]] = {}
        """Second, differing CHECKPOINTs of members: they never make a checkpoint stable, but prove a fork."""

    @property
    def frames(self) -> tuple[bytes, ...]:
        """The q CHECKPOINT frames of the stable checkpoint; () at the base of the epoch: the members of the
        previous epoch signed that one, and all members of this epoch know it."""
        if self.certificate is None or self.certificate.sequence <= self.core.config.base:
            return ()
        return self.certificate.frames

    def is_due(self) -> bool:
        """Whether a checkpoint executed here is not stable yet."""
        return bool(self._contents)

    def refuse(self, message: Checkpoint) -> Reason | None:
        """Cheap refusal (R5)."""
        core = self.core
        if message.sequence <= core.log.stable and core.contradictions.differs(message):
            return None
        if not core.log.stable < message.sequence <= core.executed + core.log.reach:
            return Reason.OUTSIDE_WINDOW
        # Off the interval only the end of the epoch is a checkpoint; above the own log it is unknown (R35).
        between = message.sequence % core.config.checkpoint_interval and message.sequence <= core.executed
        if between and message.sequence != core.epoch_change.ends_at:
            return Reason.MALFORMED
        known = self._votes.get(message.sequence, {}).get(message.sender)
        if known is None:
            return None
        if known[0] == content_of(message) or core.evidence.known("checkpoint", message):
            return Reason.SECOND_MESSAGE
        return None

    def on_checkpoint(self, verified: Verified[Checkpoint]) -> None:
        """Count a member's signed state after a sequence."""
        message = verified.message
        if (reason := self.refuse(message)) is not None:
            self.core.outbox.refused(reason, verified)
            return
        if message.sequence <= self.core.log.stable:
            self.core.contradictions.note(message.sequence, message.sender)
            return
        votes = self._votes.setdefault(message.sequence, {})
        known = votes.get(message.sender)
        if known is not None:
            self.core.evidence.note_double("checkpoint", verified, known[1])
            votes = self._second.setdefault(message.sequence, {})
        votes[message.sender] = (content_of(message), verified.frame)
        self._count(message.sequence)

    def on_executed(self, sequence: int) -> None:
        """Sign the state if a checkpoint is due at this sequence."""
        core = self.core
        if sequence <= core.log.stable:
            return
        if sequence % core.config.checkpoint_interval and sequence != core.epoch_change.ends_at:
            return
        executor = core.execution.executor
        content = (core.application.freeze(sequence), executor.log_root(), executor.timestamp)
        core.serving.on_frozen(sequence)
        self._contents[sequence] = content
        if len(self._contents) > UNSTABLE_MAX:
            self._drop(next(iter(self._contents)))
        if core.voting and sequence + core.log.window > core.catch_up.target():
            epoch = core.config.epoch
            frame = core.signer.sign(Checkpoint(epoch, core.index, sequence, *content))
            core.outbox.persist(SlotRecord(epoch, 0, sequence, "checkpoint", (frame,)))
            core.outbox.broadcast(frame)
            self.mine[sequence] = frame
            self._votes.setdefault(sequence, {})[core.index] = (content, frame)
        self._count(sequence)

    def remember(self, message: Checkpoint, frame: bytes) -> None:
        """Take this replica's own CHECKPOINT from the ledger (R7)."""
        content = content_of(message)
        self._contents[message.sequence] = content
        self.mine[message.sequence] = frame
        self._votes.setdefault(message.sequence, {})[message.sender] = (content, frame)

    def adopt(self, certificate: CheckpointCertificate) -> None:
        """Adopt a proved checkpoint from inside another message, which moves the low mark (PITFALLS row 6).

        A checkpoint above the executed log becomes the target for catching up.
        """
        core = self.core
        if certificate.sequence <= core.log.stable:
            core.contradictions.compare(certificate)
            return
        if certificate.sequence > core.executed:
            probe("checkpoint.proved_above_own_log")
            core.catch_up.on_certified(certificate.sequence)
            return
        content = self._contents.get(certificate.sequence)
        if content is None and certificate.sequence == core.executed:
            executor = core.execution.executor
            content = (core.application.freeze(core.executed), executor.log_root(), executor.timestamp)
            core.serving.on_frozen(core.executed)
        if content is not None:
            probe("checkpoint.adopted_from_a_message")
            self._become_stable(certificate, content)

    def _count(self, sequence: int) -> None:
        core = self.core
        mine = self._contents.get(sequence)
        votes = self._votes.get(sequence, {})
        counts: dict[Content, list[bytes]] = {}
        for member, (content, frame) in votes.items():
            counts.setdefault(content, []).append(frame)
            if mine not in (None, content):
                core.contradictions.note(sequence, member)
        for content, frames in counts.items():
            if len(frames) >= core.q:
                certificate = CheckpointCertificate(sequence, *content, frames=tuple(frames[: core.q]))
                if mine is None:
                    probe("checkpoint.voted_above_own_log")
                    core.catch_up.on_certified(sequence)
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
            if content != mine and len(frames) >= self.core.q:
                signed = tuple(frames.values())[: self.core.q]
                self._become_stable(CheckpointCertificate(sequence, *content, frames=signed), mine)

    def _become_stable(self, certificate: CheckpointCertificate, mine: Content) -> None:
        core = self.core
        sequence = certificate.sequence
        if content_of(certificate) != mine:
            core.contradictions.against_own(certificate, self.mine.get(sequence))
            return
        self.certificate = certificate
        core.contradictions.on_stable(certificate)
        core.outbox.persist(
            CheckpointRecord(
                epoch=core.config.epoch,
                sequence=sequence,
                state_root=certificate.state_root,
                log_root=certificate.log_root,
                timestamp=certificate.timestamp,
                frames=certificate.frames,
            )
        )
        core.outbox.persist(Prune(sequence))
        core.outbox.note("checkpoint_stable", sequence=sequence)
        self.forget(sequence)
        core.on_stable(sequence)
        core.pinging.on_stable()

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
        for frame in self.frames:
            if self.core.signer.open(frame).message.sender == member:
                frames.append(frame)
        return frames
