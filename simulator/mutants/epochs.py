"""Members that join and leave: rows 10 and 18; R16, R35 to R37."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from dtvn.gateway.epochs import Epochs
from dtvn.protocol import quorum
from dtvn.protocol.consensus import membership
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.epoch_change import EpochChange
from dtvn.protocol.consensus.execution import Execution
from dtvn.protocol.consensus.replica import Replica
from dtvn.protocol.epochs.catch_up import EpochCatchUp
from simulator.mutants.registry import Plant, mutant


class Credulous:
    """A scheme for which every signature is good."""

    def verify(self, public_key: bytes, data: bytes, signature: bytes) -> bool:
        """See wire.Scheme."""
        return True


@mutant("other-epochs-count", "R35 P10 P18", world="future-epoch-voter")
def other_epochs(plant: Plant) -> None:
    """A vote of another epoch is counted as one of this epoch."""

    def mutant(self: Replica, message: Any) -> Reason | None:
        return None if 0 <= message.sender < self.n else Reason.UNKNOWN_SENDER

    plant.put(Replica, "_refuse_sender", mutant)


@mutant("goes-on-past-the-end", "R35 P18", world="busy-epochs")
def past_the_end(plant: Plant) -> None:
    """Sequences after the last one of an epoch are proposed, decided and executed in it."""
    plant.put(EpochChange, "holds", lambda self, sequence: False)
    right = Execution.run

    def mutant(self: Execution) -> None:
        epoch_change = self.core.epoch_change
        ends_at, epoch_change.ends_at = epoch_change.ends_at, None
        right(self)
        epoch_change.ends_at = epoch_change.ends_at or ends_at

    plant.put(Execution, "run", mutant)


@mutant("switches-before-the-checkpoint", "R35 P18", world="epochs")
def switches_early(plant: Plant) -> None:
    """A replica enters the next epoch when it has executed the change, stable or not."""
    right = EpochChange.on_executed

    def mutant(self: EpochChange, step: Any) -> None:
        right(self, step)
        if self.ends_at is not None:
            self.on_stable(self.ends_at)

    plant.put(EpochChange, "on_executed", mutant)


@mutant("quorum-of-first-epoch", "R35 P18", world="epochs")
def old_quorum(plant: Plant) -> None:
    """q stays at most that of four members, even if more have joined since."""
    plant.put(Config, "q", property(lambda self: min(3, quorum.quorum(self.n))))


@mutant("epoch-change-proof-not-checked", "R16 R35", world="future-epoch-voter")
def hand_over(plant: Plant) -> None:
    """A gateway believes any member about who the next members are."""
    right = Epochs.__init__

    def mutant(self: Epochs, genesis: Any, _scheme: Any, *more: Any) -> None:
        right(self, genesis, Credulous(), *more)  # type: ignore[arg-type]

    plant.put(Epochs, "__init__", mutant)


@mutant("epoch-end-unproved", "R35 R16 P18", world="false-epoch-catch-up", seed=27)
def crosses_unproved(plant: Plant) -> None:
    """A node that slept through epochs believes any member about who the members are now."""
    right = EpochCatchUp.begin

    def mutant(self: EpochCatchUp, *arguments: Any) -> None:
        self._follow = partial(self._follow, scheme=Credulous())  # type: ignore[call-arg]
        right(self, *arguments)

    plant.put(EpochCatchUp, "begin", mutant)


@mutant("liveness-proofs-not-counted", "R36 P18", world="unready-members")
def unready(plant: Plant) -> None:
    """A change needs no words of life."""
    plant.put(membership, "_shows_life", lambda *_arguments: True)


@mutant("few-members-without-flag", "R37", world="shrinking")
def few_unasked(plant: Plant) -> None:
    """A change may leave fewer than four members, and tolerate no liar, though its principal did not allow
    that."""
    right = membership.outline

    def mutant(now: Any, change: Any) -> Any:
        return right(now, msgspec.structs.replace(change, allow_small=True))

    plant.put(membership, "outline", mutant)
