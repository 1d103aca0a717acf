"""Quorums, votes, the door: P1 to P3, P10, P15, P16 and the normal case."""

from __future__ import annotations

from typing import Any

from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import (
    Clients,
    Dispatcher,
    Door,
    Evidence,
    Execution,
    Executor,
    LateCommits,
    Log,
    Now,
    Ordering,
    Pool,
    Proposing,
    Slot,
    Tally,
    TicketApplication,
    Vote,
    door,
    executor,
    m,
    proposing,
    quorum,
    signer,
)


@replaces(quorum, "quorum", "quorum-2f+1", "P1", world="equivocator-of-five")
def old_quorum(_right: Any, members: Any, mode: Any) -> Any:
    """A quorum is 2f + 1, right only where n = 3f + 1."""
    return 2 * quorum.faults(members, mode) + 1


@replaces(quorum, "quorum", "quorum-minus-one", "P1", world="equivocator")
def short_quorum(right: Any, members: Any, mode: Any) -> Any:
    """One vote less than a quorum decides."""
    return max(1, right(members, mode) - 1)


@replaces(Door, "_check", "signatures-not-checked", "P2 R1", world="impostor")
def door_open(*_arguments: Any) -> None:
    """Signatures are not checked."""


@replaces(Tally, "add", "vote-without-digest", "P2", world="equivocator")
def no_digest(add: Any, self: Tally, sender: int, digest: bytes, frame: bytes) -> Any:
    """Votes are counted for a slot, whichever batch they name."""
    count = add(self, sender, digest, frame)
    return max(count, len(self.votes))


@mutant("signs-no-cluster", "R1 P10", world="cross-cluster-replayer")
def no_cluster(plant: Plant) -> None:
    """Signatures do not cover the cluster id."""

    def mutant(cluster: bytes, kind: int, body: bytes) -> bytes:
        return b"".join((b"dtvn/v1/signed\0", kind.to_bytes(1, "big"), body))

    plant.put(door, "signed_bytes", mutant)
    plant.put(signer, "signed_bytes", mutant)


@mutant("digest-without-time", "R1 P16", world="equivocator")
def digest_without_time(plant: Plant) -> None:
    """The batch digest leaves the proposed timestamp out."""

    right = m.batch_digest

    def mutant(view: int, proposed: int, requests: Any) -> bytes:
        return right(view, 0, requests)

    for owner in (m, executor, proposing):
        plant.put(owner, "batch_digest", mutant)


@mutant("any-epoch", "P10", world="cross-cluster-replayer")
def any_epoch(plant: Plant) -> None:
    """Statements of another epoch count in this one."""
    right = TicketApplication.member_key

    def key(self: TicketApplication, _epoch: int, index: int) -> bytes | None:
        return right(self, self.membership().epoch, index)

    plant.put(TicketApplication, "member_key", key)
    plant.put(Dispatcher, "_refuse_sender", lambda self, message: None)


@mutant("counts-votes-twice", "P3", world="replayer")
def counts_twice(plant: Plant) -> None:
    """Each copy of a vote counts."""

    def add(self: Tally, sender: int, digest: bytes, frame: bytes) -> int:

        self.votes[sender] = Vote(digest, frame)
        count = self.counts[digest] = self.counts.get(digest, 0) + 1
        return count

    def on_commit(self: Ordering, verified: Any) -> None:
        message = verified.message
        slot = self.state.log.slots.get(message.sequence)
        if slot is not None and slot.view == message.view and message.sequence > self.state.executed:
            self._count_commit(slot, message.sender, message.digest, verified.frame)

    plant.put(Tally, "add", add)
    plant.put(Ordering, "refuse_commit", lambda self, message, *more: None)
    plant.put(Ordering, "on_commit", on_commit)


def frames_of_all_views(self: LateCommits, view: int, digest: bytes) -> tuple[bytes, ...]:
    return tuple(vote.frame for _view, vote in self.votes.values() if vote.digest == digest)


@mutant("late-commits-across-views", "R21 P3", world="alternating-batches")
def across_views(plant: Plant) -> None:
    """COMMITs of different views add up where they name the same batch."""
    right = LateCommits.add

    def mutant(self: LateCommits, sender: int, view: int, vote: Vote) -> int:
        right(self, sender, view, vote)
        return sum(known.digest == vote.digest for _view, known in self.votes.values())

    plant.put(LateCommits, "add", mutant)
    plant.put(LateCommits, "frames", frames_of_all_views)


@mutant("late-certificate-of-two-views", "R21 R23", world="late-committer")
def certificate_of_two_views(plant: Plant) -> None:
    """A decision by COMMITs of another view is kept with COMMITs of any view."""
    plant.put(LateCommits, "frames", frames_of_all_views)


@replaces(Executor, "effective", "batch-time-runs-back", "R3 P16")
def clock_runs_back(_right: Any, self: Any, batch: Any) -> Any:
    """The effective timestamp is the proposed one, earlier or later than the last."""
    return batch.batch.proposed


@replaces(Ordering, "refuse_content", "believes-any-clock", "R3 P16", world="false-timestamper")
def any_clock(right: Any, self: Ordering, *arguments: Any) -> Any:
    """Backups do not compare a fresh proposal's time with their own clock."""
    reason = right(self, *arguments)
    return None if reason == "bad_timestamp" else reason


@replaces(Proposing, "_propose", "proposes-uptime", "R2", world="idle-night")
def proposes_uptime(right: Any, self: Proposing, bundles: Any) -> None:
    """The primary stamps batches with its monotonic clock instead of the wall clock."""

    now = self.state.now
    self.state.now = Now(now.monotonic, now.monotonic)
    right(self, bundles)
    self.state.now = now


@replaces(Dispatcher, "wants", "no-cheap-checks", "R5 P15", world="calm")
def wants_everything(*_arguments: Any) -> None:
    """No cheap check comes before signature checks."""


@replaces(Log, "inside", "ignores-window", "R20 P15", world="flooder")
def no_window(_right: Any, self: Any, sequence: Any) -> Any:
    """Votes for any sequence, however far, open a slot."""
    return sequence > self.stable


@replaces(Pool, "take", "batch-without-limit", "R20", world="tiny-batches")
def no_limit(right: Any, self: Any, operations_max: Any, bytes_max: Any) -> Any:
    """A primary puts all waiting requests into one batch."""
    return right(self, 1 << 30, 1 << 30)


@replaces(Proposing, "ready_at", "proposes-beyond-window", "R20 P6", world="lost-checkpoints")
def beyond_window(_right: Any, self: Proposing) -> int | None:
    """A primary continues to propose above its window."""
    state = self.state
    if not self.policy.has_unproposed() or not state.may_vote(state.views.view) or not state.is_primary:
        return None
    return state.now.monotonic if state.executed >= self.hold_until else None


@mutant("only-own-proposal", "R21", world="equivocator")
def only_own(plant: Plant) -> None:
    """A replica prepares and executes the first proposal that it saw and no other."""
    right = Ordering.try_enter_prepared

    def advance(self: Ordering, slot: Slot) -> None:
        if slot.digest is None or slot.abstain_reason is None:
            right(self, slot)

    def decide(self: Ordering, certificate: Any) -> None:
        slot = self.state.log.slots.get(certificate.sequence)
        if slot is not None and slot.digest is not None and certificate.sequence > self.state.executed:
            certificate = type(certificate)(
                certificate.view, certificate.sequence, slot.digest, certificate.frames
            )
        self.state.log.decisions.setdefault(certificate.sequence, certificate)

    plant.put(Ordering, "try_enter_prepared", advance)
    plant.put(Ordering, "decide", decide)


@replaces(Execution, "run", "executes-out-of-order", "R22")
def out_of_order(right: Any, self: Execution) -> None:
    """A decided batch is executed at once, gaps or not."""
    right(self)
    decisions = self.state.log.decisions
    for sequence in sorted(decisions):
        batch = self.state.bodies.get(decisions[sequence].digest)
        if batch is not None and sequence not in self.state.log.digests:
            self.perform(batch, commits=decisions[sequence].frames, view=decisions[sequence].view)
            decisions.pop(sequence, None)


@replaces(Clients, "on_bundle", "requests-not-forwarded", "P14", world="censor")
def no_forward(right: Any, self: Clients, verified: Any) -> None:
    """A backup neither forwards a request nor keeps it waiting."""
    if self.state.is_primary:
        right(self, verified)


@replaces(Evidence, "_note", "no-evidence", "P22", world="equivocator")
def no_evidence(*_arguments: Any) -> None:
    """Contradictions are refused and forgotten."""
