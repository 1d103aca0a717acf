"""Where no liar is tolerated, where more lie than are, and what is served beyond a quota: R11, R23, R24."""

from __future__ import annotations

from typing import Any

from simulator.mutants.registry import Plant, mutant
from validators.consensus.pinging import Pinging


@mutant("others-not-awaited", "R11", world="older-disk")
def others_not_awaited(plant: Plant) -> None:
    """A start where f = 0 votes when a quorum has answered, whoever else may know its word."""
    right = Pinging.begin

    def mutant(self: Pinging, recovery: Any) -> None:
        right(self, recovery)
        self._quorum_suffices = True

    plant.put(Pinging, "begin", mutant)
