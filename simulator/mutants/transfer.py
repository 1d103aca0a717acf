"""Checkpoints, the low mark, and fetching the log: P6, P7, P17; R23 to R28."""

from __future__ import annotations

from typing import Any

from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import (
    CatchUp,
    CheckpointCertificate,
    Checkpoints,
    CommitCertificate,
    Learner,
    Prune,
    Staging,
    entries,
    entry_hash,
    m,
    receiving,
)


@replaces(Checkpoints, "_count", "weak-checkpoint", "R24 P7")
def weak_checkpoint(count: Any, self: Checkpoints, sequence: int) -> None:
    """A checkpoint that f + 1 signed counts as stable."""
    self.state.q, right = self.state.config.f + 1, self.state.q
    count(self, sequence)
    self.state.q = right


@replaces(Checkpoints, "_count", "counts-other-states", "R24 P7", world="forger")
def other_states(right: Any, self: Checkpoints, sequence: int) -> None:
    """CHECKPOINTs count for a sequence, whichever state they name."""
    votes = self._votes.get(sequence, {})
    mine = self._contents.get(sequence)
    if mine is not None:
        for sender, (_content, frame) in list(votes.items()):
            votes[sender] = (mine, frame)
    right(self, sequence)


@replaces(Checkpoints, "on_executed", "forgets-unproved", "R24 P7")
def forgets_unproved(right: Any, self: Checkpoints, sequence: int) -> None:
    """A replica prunes what it executed, whether a checkpoint proves it or not."""

    right(self, sequence)
    self.state.outbox.persist(Prune(sequence))


@mutant("believes-any-page", "R23 P17", world="bad-log-server", seed=7)
def any_page(plant: Plant) -> None:
    """An entry's COMMITs need not be those of a quorum, nor name its batch."""

    def mutant(frames: Any, nested: Any, config: Any) -> Any:
        first = nested[frames[0]].message
        return CommitCertificate(first.view, first.sequence, first.digest, tuple(frames))

    plant.put(entries, "read_commits", mutant)
    plant.put(entries, "_fits", lambda certificate, entry: True)


@replaces(entries, "_fits", "commits-of-another-batch", "R23 R28 P17", world="bad-log-server", seed=1)
def of_another_batch(_right: Any, certificate: CommitCertificate | None, entry: m.Entry) -> bool:
    """COMMITs of a sequence prove whatever batch is shown with them."""
    return certificate is not None and certificate.sequence == entry.sequence


@replaces(CatchUp, "on_said", "one-claim-is-a-target", "R23 R30 P17", world="progress-inflator")
def one_word(_right: Any, self: CatchUp, member: int, executed: int) -> None:
    """A single member's report of how far the log reaches is believed, and kept for ever."""
    self.said[member] = executed
    self.state.lag.vouched = max(self.state.lag.vouched, executed)
    self.state.lag.held_until = self.state.now.monotonic + (1 << 50)
    self.look()
    self.state.lag.held_until = self.state.now.monotonic + (1 << 50)


@replaces(Learner, "_execute", "learner-believes-its-source", "R28", world="bad-log-server")
def learner_believes(right: Any, self: Learner, link: Any, source: int) -> None:
    """A learner writes the entry that its source claims, not the one it executed."""
    executor = self.executor
    right(self, link, source)
    if executor.executed == link.entry.sequence:
        executor.head = entry_hash(link.entry)


@mutant("never-catches-up", "R23 R30", world="crashes")
def never_catches_up(plant: Plant) -> None:
    """A member that lags waits for messages that no member sends any more."""
    plant.put(CatchUp, "look", lambda self: None)
    plant.put(CatchUp, "deadline", lambda self: None)


@replaces(Staging, "add", "installs-any-chunk", "R23 P17", world="poisoned-chunks", seed=2)
def any_chunk(_right: Any, self: Staging, group: int, items: Any) -> bool:
    """A group of a fetched state is accepted unchecked."""
    self._groups[group] = items
    self._missing.pop(group, None)
    return True


@replaces(receiving, "_fits", "installs-any-log", "R23 R26 P17", world="poisoned-logs", seed=4)
def any_log(*_arguments: Any) -> Any:
    """The entry below a fetched state need not be the one under the log root that q members signed."""
    return True


@replaces(
    receiving, "read_checkpoint", "installs-without-a-quorum", "R23 P17", world="poisoned-proofs", seed=4
)
def without_a_quorum(_right: Any, frames: Any, nested: Any, config: Any) -> Any:
    """A fetched state does not need q signatures: one is enough."""
    said = nested[frames[0]].message
    content = (said.sequence, said.state_root, said.log_root, said.timestamp)
    return CheckpointCertificate(*content, frames=tuple(frames))
