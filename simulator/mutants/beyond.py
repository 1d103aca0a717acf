"""Clusters that tolerate no liar, clusters with more liars than tolerated, and quotas: R11, R23, R24."""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus.contradiction import Contradictions
from dtvn.protocol.consensus.pinging import Pinging
from dtvn.protocol.host import places
from simulator.mutants.registry import Plant, mutant


@mutant("others-not-awaited", "R11", world="older-disk")
def others_not_awaited(plant: Plant) -> None:
    """A starting member of a cluster with f = 0 votes when a quorum has answered, though other members may
    know its statements."""
    right = Pinging.begin

    def mutant(self: Pinging, recovery: Any) -> None:
        right(self, recovery)
        self._quorum_suffices = True

    plant.put(Pinging, "begin", mutant)


@mutant("unused-disk-not-doubted", "R11", world="unused-disk")
def unused_disk_not_doubted(plant: Plant) -> None:
    """An empty ledger votes at once where f = 0, as if there could have been no earlier one."""
    right = Pinging.begin

    def mutant(self: Pinging, recovery: Any) -> None:
        right(self, recovery)
        self.holding &= bool(recovery.slots or recovery.entries or recovery.checkpoint)

    plant.put(Pinging, "begin", mutant)


@mutant("goes-on-after-a-fork", "R24", world="forked")
def goes_on_after_a_fork(plant: Plant) -> None:
    """A certificate for a sequence that is already stable is not compared."""
    plant.put(Contradictions, "compare", lambda self, certificate: None)


@mutant("forgets-the-fork", "R24", world="forked")
def forgets_the_fork(plant: Plant) -> None:
    """A node that stopped because certificates exclude each other goes on after its next start."""
    plant.put(Contradictions, "restore", lambda self, states: None)


@mutant("fork-taken-for-bad-page", "R23 R24", world="forked")
def bad_page(plant: Plant) -> None:
    """A log that does not continue the node's own is blamed on its source: no further question is asked."""
    plant.put(Contradictions, "ask", lambda self, member: False)


@mutant("follower-places-never-freed", "R23 P15", world="many-learners")
def places_for_good(plant: Plant) -> None:
    """A follower of a node's log keeps its place, even if others wait for one."""
    plant.put(places, "PLACE_TIME", 1 << 60)
