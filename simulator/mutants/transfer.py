"""Checkpoints, the low mark, and fetching the log: rows 6, 7, 17; R23 to R28."""

from __future__ import annotations

from typing import Any

from dtvn.machine.snapshot import Staging
from dtvn.protocol.consensus import entries, transfer
from dtvn.protocol.consensus.catch_up import CatchUp
from dtvn.protocol.consensus.certificate import CheckpointCertificate, CommitCertificate
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.learner import Learner
from simulator.mutants.registry import Plant, mutant


@mutant("weak-checkpoint", "R24 P7", seed=0)
def weak_checkpoint(plant: Plant) -> None:
    """A checkpoint that f + 1 signed counts as stable."""
    count = Checkpoints._count

    def mutant(self: Checkpoints, sequence: int) -> None:
        self.core.q, right = self.core.config.f + 1, self.core.q
        count(self, sequence)
        self.core.q = right

    plant.put(Checkpoints, "_count", mutant)


@mutant("counts-other-states", "R24 P7", world="forger")
def other_states(plant: Plant) -> None:
    """CHECKPOINTs count for a sequence, whichever state they name."""
    right = Checkpoints._count

    def mutant(self: Checkpoints, sequence: int) -> None:
        votes = self._votes.get(sequence, {})
        mine = self._contents.get(sequence)
        if mine is not None:
            for sender, (_content, frame) in list(votes.items()):
                votes[sender] = (mine, frame)
        right(self, sequence)

    plant.put(Checkpoints, "_count", mutant)


@mutant("forgets-unproved", "R24 P7", seed=0)
def forgets_unproved(plant: Plant) -> None:
    """A replica prunes what it executed, whether a checkpoint proves it or not."""
    from dtvn.protocol.consensus.effects import Prune

    right = Checkpoints.on_executed

    def mutant(self: Checkpoints, sequence: int) -> None:
        right(self, sequence)
        self.core.outbox.persist(Prune(sequence))

    plant.put(Checkpoints, "on_executed", mutant)


@mutant("believes-any-page", "R23 P17", world="bad-log-server")
def any_page(plant: Plant) -> None:
    """An entry's COMMITs need not be those of a quorum, nor name its batch."""

    def mutant(frames: Any, nested: Any, config: Any) -> Any:
        first = nested[frames[0]].message
        return CommitCertificate(first.view, first.sequence, first.digest, tuple(frames))

    plant.put(entries, "read_commits", mutant)
    plant.put(entries, "_fits", lambda certificate, entry: True)


@mutant("one-claim-is-a-target", "R23 R30 P17", world="progress-inflator")
def one_word(plant: Plant) -> None:
    """A single member's report of how far the log reaches is believed, and kept for ever."""

    def mutant(self: CatchUp, member: int, executed: int) -> None:
        self.said[member] = executed
        self._vouched = max(self._vouched, executed)
        self.held_until = self.core.now.monotonic + (1 << 50)
        self.look()
        self.held_until = self.core.now.monotonic + (1 << 50)

    plant.put(CatchUp, "on_said", mutant)


@mutant("learner-believes-its-source", "R28", world="bad-log-server")
def learner_believes(plant: Plant) -> None:
    """A learner writes the entry that its source claims, not the one it executed."""
    right = Learner._execute

    def mutant(self: Learner, link: Any, source: int) -> None:
        executor = self.executor
        right(self, link, source)
        if executor.executed == link.entry.sequence:
            from dtvn.protocol.consensus.messages import entry_hash

            executor.head = entry_hash(link.entry)

    plant.put(Learner, "_execute", mutant)


@mutant("never-catches-up", "R23 R30", world="crashes")
def never_catches_up(plant: Plant) -> None:
    """A member that lags waits for messages that no member sends any more."""
    plant.put(CatchUp, "look", lambda self: None)
    plant.put(CatchUp, "deadline", lambda self: None)


@mutant("installs-any-chunk", "R23 P17", world="poisoned-chunks", seed=2)
def any_chunk(plant: Plant) -> None:
    """A group of a fetched state is accepted unchecked."""

    def mutant(self: Staging, group: int, items: Any) -> bool:
        self._groups[group] = items
        self._missing.pop(group, None)
        return True

    plant.put(Staging, "add", mutant)


@mutant("installs-any-log", "R23 R26 P17", world="poisoned-logs", seed=4)
def any_log(plant: Plant) -> None:
    """The entry below a fetched state need not be the one under the log root that q members signed."""
    plant.put(transfer, "_fits", lambda certificate, message: True)


@mutant("installs-without-a-quorum", "R23 P17", world="poisoned-proofs", seed=4)
def without_a_quorum(plant: Plant) -> None:
    """A fetched state does not need q signatures: one is enough."""

    def mutant(frames: Any, nested: Any, config: Any) -> Any:
        said = nested[frames[0]].message
        content = (said.sequence, said.state_root, said.log_root, said.timestamp)
        return CheckpointCertificate(*content, frames=tuple(frames))

    plant.put(transfer, "read_checkpoint", mutant)
