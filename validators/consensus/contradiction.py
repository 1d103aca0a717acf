"""Two certificates that exclude each other for one sequence: more members lie than are tolerated.

q signatures stand under each, so q + q - n >= f + 1 members signed both, and nothing that this replica could
say from here on means anything. It keeps both, stops, and says so after every start. Nothing here undoes a
fork: people compare the logs (`manage.py audit`), and decide which one goes on.

One member's CHECKPOINT that differs from the others' proves nothing of that kind: a liar, or a program that
is not deterministic. It is told (`checkpoint_differs`), once for each member and sequence.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import msgspec

from validators import canonical, quorum
from validators.consensus.certificate import CheckpointCertificate, CommitCertificate
from validators.consensus.effects import StateRecord
from validators.consensus.messages import Checkpoint, Commit, FetchEntries
from validators.consensus.verified import Verified
from validators.probes import probe

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["RECORD", "Contradiction", "Contradictions", "content_of", "read"]

RECORD = "contradiction"
"""Name of the state record that holds one."""
KEPT = 16
"""Stable checkpoints remembered to compare others' with: newest, with their certificates."""

Content = tuple[bytes, bytes, int]
Frames = Annotated[tuple[bytes, ...], msgspec.Meta(max_length=quorum.MEMBERS_MAX)]


class Contradiction(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the ledger keeps of one."""

    form: int
    """Version of this record."""
    kind: str
    """`checkpoint`: two certified states after a sequence; `batch`: two decided batches at it; `state`: a
    certified state is not the one that this replica reached."""
    epoch: int
    sequence: int
    mine: Frames
    """Frames of the certificate that this replica went by. For `state`: of its newest stable checkpoint, and
    its own CHECKPOINT of the sequence, if it gave one."""
    theirs: Frames
    """q frames of the other one."""

    @property
    def sentence(self) -> str:
        """For people."""
        where = f"sequence {self.sequence} of epoch {self.epoch}"
        if self.kind == "state":
            return f"a quorum signed another state than this node reached after {where}"
        return f"quorums signed two {'states after' if self.kind == 'checkpoint' else 'batches at'} {where}"


def read(states: Iterable[StateRecord]) -> Contradiction | None:
    """The one in a ledger."""
    found = next((state for state in states if state.name == RECORD), None)
    return None if found is None else canonical.decode(Contradiction, found.value)


def content_of(checkpoint: Checkpoint | CheckpointCertificate) -> Content:
    """What is signed of a state."""
    return (checkpoint.state_root, checkpoint.log_root, checkpoint.timestamp)


class Contradictions:
    """Owns what certificates are compared with, and whether two excluded each other."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self.found: Contradiction | None = None
        self._stable: dict[int, CheckpointCertificate] = {}
        self._commits: dict[int, tuple[bytes, ...]] = {}
        """Sequence above the stable checkpoint -> frames that proved it when it was executed."""
        self._told: dict[tuple[int, int], None] = {}
        """(Sequence, member) of CHECKPOINTs that differ and were told."""
        self.asked: set[int] = set()
        """Members that were asked for the certificate of the own stable checkpoint and have not answered."""

    # --- what is known ------------------------------------------------------------------------------

    def on_stable(self, certificate: CheckpointCertificate) -> None:
        """A checkpoint is stable here."""
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
        """A sequence was executed, and these prove it."""
        self._commits[sequence] = commits
        if len(self._commits) > 4 * self.core.log.window:
            del self._commits[next(iter(self._commits))]

    # --- comparing ----------------------------------------------------------------------------------

    def compare(self, certificate: CheckpointCertificate) -> None:
        """A proved checkpoint at or below the stable one."""
        known = self._stable.get(certificate.sequence)
        if known is not None and content_of(known) != content_of(certificate):
            self._stop("checkpoint", certificate.sequence, known.frames, certificate.frames)

    def against_own(self, certificate: CheckpointCertificate, own: bytes | None) -> None:
        """q members signed another state than this replica reached, and said in `own`."""
        newest = next(reversed(self._stable.values()), None)
        frames = (*(newest.frames if newest is not None else ()), *((own,) if own is not None else ()))
        self._stop("state", certificate.sequence, frames, certificate.frames)

    def on_decided(self, certificate: CommitCertificate) -> None:
        """q COMMITs of one view; another batch may have been decided or executed."""
        log = self.core.log
        known = log.decisions.get(certificate.sequence)
        if known is not None and known.digest != certificate.digest:
            self._stop("batch", certificate.sequence, known.frames, certificate.frames)
        executed = log.digests.get(certificate.sequence)
        if executed is not None and executed != certificate.digest:
            frames = self._commits.get(certificate.sequence, ())
            self._stop("batch", certificate.sequence, frames, certificate.frames)

    def ask(self, member: int) -> bool:
        """This member shows a log or a state that does not fit the own one, or may hide that it does not: it
        may be a liar, or both are forked. Its certificate of the checkpoint that is stable here tells.
        Whether it was asked."""
        core = self.core
        stable = next(reversed(self._stable), 0)
        if stable <= core.config.base or not core.throttle.allow(member, b"checkpoint"):
            return False
        core.outbox.send(member, core.signer.link(FetchEntries(core.config.epoch, stable, stable)))
        self.asked.add(member)
        return True

    # --- one member's word --------------------------------------------------------------------------

    def differs(self, message: Checkpoint) -> bool:
        """Whether a CHECKPOINT for what is stable here names another state, and that was not told."""
        known = self._stable.get(message.sequence)
        if known is None or (message.sequence, message.sender) in self._told:
            return False
        return content_of(known) != content_of(message)

    def note(self, sequence: int, member: int) -> None:
        """Tell that one member's CHECKPOINT differs."""
        if (sequence, member) in self._told:
            return
        self._told[sequence, member] = None
        probe("checkpoint.differs")
        self.core.outbox.note("checkpoint_differs", sequence=sequence, member=member)
        if sequence in self._stable:
            self.ask(member)  # else as soon as it is stable here

    # --- the end ------------------------------------------------------------------------------------

    def _stop(self, kind: str, sequence: int, mine: tuple[bytes, ...], theirs: tuple[bytes, ...]) -> None:
        """Keep both, and go no further. Who signed both in one view is convicted besides."""
        if self.found is not None:
            return
        core = self.core
        probe("contradiction.stopped")
        self.found = Contradiction(1, kind, core.config.epoch, sequence, mine, theirs)
        core.outbox.persist(StateRecord(RECORD, canonical.encode(self.found)))
        first = {said.message.sender: frame for frame in mine if (said := core.signer.open(frame))}
        for frame in theirs:
            second = core.signer.open(frame)
            before = first.get(second.message.sender)
            if before is not None and _excludes(core.signer.open(before), second):
                offence = "checkpoint" if isinstance(second.message, Checkpoint) else "commit"
                core.evidence.note_double(offence, second, before)
        core.outbox.note("contradiction", about=kind, sequence=sequence)
        core.outbox.halt(self.found.sentence)

    def restore(self, states: Iterable[StateRecord]) -> None:
        """Out of the ledger: what stopped once stays so."""
        self.found = read(states)
        if self.found is not None:
            probe("contradiction.restored")
            self.core.outbox.halt(self.found.sentence)


def _excludes(first: Verified[Checkpoint] | Verified[Commit], second: Verified[Checkpoint | Commit]) -> bool:
    """Whether no honest member signs both: a COMMIT binds in its view only."""
    a, b = first.message, second.message
    if isinstance(a, Commit) and isinstance(b, Commit):
        return a.view == b.view
    return isinstance(a, Checkpoint) and isinstance(b, Checkpoint) and a.sequence == b.sequence
