"""Comparison of certificates with those seen before; two that exclude each other stop this replica.

A single member's CHECKPOINT that differs from the others' proves no fork: the member is faulty, or the
program is not deterministic. It is reported (`checkpoint_differs`), once for each member and sequence.
"""

from __future__ import annotations

from collections.abc import Iterable

from dtvn.protocol import canonical
from dtvn.protocol.consensus.certificate import CheckpointCertificate, CommitCertificate
from dtvn.protocol.consensus.contradiction import RECORD, Contradiction, content_of, read
from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.consensus.messages import Checkpoint, Commit, FetchEntries
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.probes import probe

KEPT = 16
"""Newest stable checkpoints, with certificates, kept to compare those of other members with."""


class Contradictions:
    """Compares certificates with those seen before, and stops the replica if two exclude each other."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.found: Contradiction | None = None
        self._stable: dict[int, CheckpointCertificate] = {}
        self._commits: dict[int, tuple[bytes, ...]] = {}
        """Sequence above the stable checkpoint -> frames that proved it when it was executed."""
        self._told: dict[tuple[int, int], None] = {}
        """(Sequence, member) of differing CHECKPOINTs that were reported."""
        self.asked: set[int] = set()
        """Members that have not yet answered a request for their certificate of our stable checkpoint."""

    # --- recording ----------------------------------------------------------------------------------

    def on_stable(self, certificate: CheckpointCertificate) -> None:
        """Keep the certificate of a checkpoint that became stable here."""
        self._stable[certificate.sequence] = certificate
        if len(self._stable) > KEPT:
            del self._stable[next(iter(self._stable))]
        self._commits = {s: frames for s, frames in self._commits.items() if s > certificate.sequence}
        lowest = next(iter(self._stable))
        self._told = {told: None for told in self._told if told[0] >= lowest}
        for sequence, member in self._told:
            if sequence == certificate.sequence:
                self.ask(member)

    def on_executed(self, sequence: int, commits: tuple[bytes, ...]) -> None:
        """Keep the COMMIT frames that prove an executed sequence."""
        self._commits[sequence] = commits
        if len(self._commits) > 4 * self.state.log.window:
            del self._commits[next(iter(self._commits))]

    # --- comparing ----------------------------------------------------------------------------------

    def compare(self, certificate: CheckpointCertificate) -> None:
        """Compare a proved checkpoint at or below the stable one with the certificate kept for it."""
        known = self._stable.get(certificate.sequence)
        if known is not None and content_of(known) != content_of(certificate):
            self._stop("checkpoint", certificate.sequence, known.frames, certificate.frames)

    def against_own(self, certificate: CheckpointCertificate, own: bytes | None) -> None:
        """Stop: q members signed a state that differs from this replica's; `own`: its CHECKPOINT, if any."""
        newest = next(reversed(self._stable.values()), None)
        frames = (*(newest.frames if newest is not None else ()), *((own,) if own is not None else ()))
        self._stop("state", certificate.sequence, frames, certificate.frames)

    def on_decided(self, certificate: CommitCertificate) -> None:
        """Compare a commit certificate with the batch that was decided or executed at its sequence."""
        log = self.state.log
        known = log.decisions.get(certificate.sequence)
        if known is not None and known.digest != certificate.digest:
            self._stop("batch", certificate.sequence, known.frames, certificate.frames)
        executed = log.digests.get(certificate.sequence)
        if executed is not None and executed != certificate.digest:
            frames = self._commits.get(certificate.sequence, ())
            self._stop("batch", certificate.sequence, frames, certificate.frames)

    def ask(self, member: int) -> bool:
        """Ask a member for its certificate of the checkpoint that is stable here; returns whether it was
        asked. The member sent a log or state that does not fit this replica's, or may hide that it does not:
        the certificate shows whether the member is faulty or the cluster forked."""
        state = self.state
        stable = next(reversed(self._stable), 0)
        if stable <= state.config.base or not state.throttle.allow(member, b"checkpoint"):
            return False
        state.outbox.send(member, state.signer.link(FetchEntries(state.config.epoch, stable, stable)))
        self.asked.add(member)
        return True

    # --- claims of a single member ------------------------------------------------------------------

    def differs(self, message: Checkpoint) -> bool:
        """Whether a CHECKPOINT names another state than the stable one here, and was not reported yet."""
        known = self._stable.get(message.sequence)
        if known is None or (message.sequence, message.sender) in self._told:
            return False
        return content_of(known) != content_of(message)

    def note(self, sequence: int, member: int) -> None:
        """Report that one member's CHECKPOINT differs."""
        if (sequence, member) in self._told:
            return
        self._told[sequence, member] = None
        probe("checkpoint.differs")
        self.state.outbox.note("checkpoint_differs", sequence=sequence, member=member)
        if sequence in self._stable:
            self.ask(member)  # otherwise asked as soon as the checkpoint is stable here

    # --- stopping -----------------------------------------------------------------------------------

    def _stop(self, kind: str, sequence: int, mine: tuple[bytes, ...], theirs: tuple[bytes, ...]) -> None:
        """Store both certificates and stop. Members that signed both in one view are also convicted."""
        if self.found is not None:
            return
        state = self.state
        probe("contradiction.stopped")
        state.views.become_ended()
        self.found = Contradiction(1, kind, state.config.epoch, sequence, mine, theirs)
        state.outbox.persist(StateRecord(RECORD, canonical.encode(self.found)))
        first = {said.message.sender: frame for frame in mine if (said := state.signer.open(frame))}
        for frame in theirs:
            second = state.signer.open(frame)
            before = first.get(second.message.sender)
            if before is not None and _excludes(state.signer.open(before), second):
                offence = "checkpoint" if isinstance(second.message, Checkpoint) else "commit"
                state.evidence.note_double(offence, second, before)
        state.outbox.note("contradiction", about=kind, sequence=sequence)
        state.outbox.halt(self.found.sentence)

    def restore(self, states: Iterable[StateRecord]) -> None:
        """Stop again if the ledger holds a contradiction: a replica that stopped once stays stopped."""
        self.found = read(states)
        if self.found is not None:
            probe("contradiction.restored")
            self.state.views.become_ended()
            self.state.outbox.halt(self.found.sentence)


def _excludes(first: Verified[Checkpoint] | Verified[Commit], second: Verified[Checkpoint | Commit]) -> bool:
    """Whether no honest member signs both: a COMMIT binds its sender in its view only."""
    a, b = first.message, second.message
    if isinstance(a, Commit) and isinstance(b, Commit):
        return a.view == b.view
    return isinstance(a, Checkpoint) and isinstance(b, Checkpoint) and a.sequence == b.sequence
