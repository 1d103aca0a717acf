"""What leaves a virtual cluster: certificates of answers and proved reads are really made and forged.

That the two checkers complain when they should is shown by their planted bugs (test_checkers.py).
"""

from __future__ import annotations

from typing import TypeVar

import pytest

from simulator.campaign import Cut, Play
from simulator.checkers import Checker
from simulator.checkers.exports import Exports
from simulator.checkers.reads import Reads
from simulator.cluster import Cluster
from simulator.worlds import world_of

pytestmark = pytest.mark.ci

Kind = TypeVar("Kind", bound=Checker)


def played(world: str, seed: int) -> Cluster:
    """A world after its last question."""
    drawn = world_of(world, seed)
    cluster = Cluster(seed, drawn.settings)
    Play(cluster, drawn, Cut()).run()
    return cluster


def of(cluster: Cluster, kind: type[Kind]) -> Kind:
    return next(checker for checker in cluster.checkers if isinstance(checker, kind))


@pytest.mark.parametrize("world", ["calm", "epochs"])
def test_r27_answers_are_exported_and_forged(world: str) -> None:
    exports = of(played(world, 0), Exports)
    assert exports.verified >= 15, "by the log up to two checkpoints and by receipts"
    assert exports.refused >= 5 * exports.verified
    if world == "epochs":
        assert exports.of_former_epochs > 0, "proved by checkpoints of their own epoch and of later ones"


def test_r18_members_prove_tickets_to_any_client() -> None:
    reads = of(played("calm", 0), Reads)
    assert reads.proved >= 5
    assert reads.absent > 0, "absence is proved as presence is"
    assert reads.changed_since > 0, "of a ticket that has changed since the checkpoint, too"
    assert reads.refused == reads.proved
