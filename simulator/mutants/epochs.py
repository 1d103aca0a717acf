"""Members that join and leave: P10 and P18; R16, R35 to R37."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import (
    Config,
    Dispatcher,
    EpochCatchUp,
    EpochChange,
    Epochs,
    Execution,
    Host,
    Reason,
    Replica,
    membership,
    quorum,
)


class Credulous:
    """A scheme for which every signature is good."""

    def verify(self, public_key: bytes, data: bytes, signature: bytes) -> bool:
        """See wire.Scheme."""
        return True


@replaces(Dispatcher, "_refuse_sender", "other-epochs-count", "R35 P10 P18", world="future-epoch-voter")
def other_epochs(_right: Any, self: Replica, message: Any) -> Reason | None:
    """A vote of another epoch is counted as one of this epoch."""
    return None if 0 <= message.sender < self.state.n else Reason.UNKNOWN_SENDER


@mutant("goes-on-past-the-end", "R35 P18", world="busy-epochs", seed=7)
def past_the_end(plant: Plant) -> None:
    """Sequences after the last one of an epoch are proposed, decided and executed in it."""
    plant.put(EpochChange, "holds", lambda self, sequence: False)
    right = Execution.run

    def mutant(self: Execution) -> None:
        epoch_change = self.epoch_change
        ends_at, epoch_change.ends_at = epoch_change.ends_at, None
        right(self)
        epoch_change.ends_at = epoch_change.ends_at or ends_at

    plant.put(Execution, "run", mutant)


@replaces(EpochChange, "on_executed", "switches-before-the-checkpoint", "R35 P18", world="epochs")
def switches_early(right: Any, self: EpochChange, step: Any) -> None:
    """A replica enters the next epoch when it has executed the change, stable or not."""
    right(self, step)
    if self.ends_at is not None:
        self.on_stable(self.ends_at)


@replaces(Host, "_finish", "border-without-rows", "R9 R35", world="epochs")
def without_rows(right: Any, self: Host, effects: Any, now: Any) -> None:
    """A process carries its state into the next epoch, and leaves the rows as they were before."""
    if effects.successor is not None:
        self._write_rows = lambda: None  # type: ignore[method-assign]
    right(self, effects, now)


@mutant("quorum-of-first-epoch", "R35 P18", world="epochs")
def old_quorum(plant: Plant) -> None:
    """q stays at most that of four members, even if more have joined since."""
    plant.put(Config, "q", property(lambda self: min(3, quorum.quorum(self.n, self.mode))))


@replaces(Epochs, "__init__", "epoch-change-proof-not-checked", "R16 R35", world="future-epoch-voter")
def proof_not_checked(right: Any, self: Epochs, genesis: Any, _scheme: Any, *more: Any) -> None:
    """A gateway believes any member about who the next members are."""
    right(self, genesis, Credulous(), *more)


@replaces(EpochCatchUp, "begin", "epoch-end-unproved", "R35 R16 P18", world="false-epoch-catch-up", seed=53)
def epoch_end_unproved(right: Any, self: EpochCatchUp, *arguments: Any) -> None:
    """A node that slept through epochs believes any member about who the members are now."""
    self._follow = partial(self._follow, scheme=Credulous())  # type: ignore[call-arg]
    right(self, *arguments)


@replaces(membership, "_living", "liveness-proofs-not-counted", "R36 P18", world="unready-members")
def unready(_right: Any, _now: Any, members: Any, *_arguments: Any) -> Any:
    """A change needs no liveness proofs."""
    return {member.id: membership.LivenessProof(member.id, 1 << 60, 0, bytes(64)) for member in members}


@replaces(membership, "succeed", "version-raised-by-some", "R47", world="raised-version")
def raised_by_some(right: Any, now: Any, change: Any, **more: Any) -> Any:
    """A change raises the version though some members did not say that they run it."""
    found = right(now, change, **more)
    if found != "needs_version":
        return found
    outlined: Any = membership.outline(now, change)
    return now.followed_by(more["sequence"], *outlined)


@replaces(membership, "outline", "few-members-without-flag", "R37", world="shrinking")
def few_unasked(right: Any, now: Any, change: Any) -> Any:
    """A change may leave fewer than four members, and tolerate no liar, though its principal did not allow
    that."""
    return right(now, msgspec.structs.replace(change, allow_small=True))
