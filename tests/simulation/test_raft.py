"""Worlds that order by Raft: random ones, directed ones, and those of PBFT without liars (R44)."""

from __future__ import annotations

import pytest

from dtvn.protocol.quorum import Mode
from simulator.campaign import Report, Task, run
from simulator.names import IN_RAFT_TOO
from simulator.worlds import WORLDS

pytestmark = pytest.mark.exhaustive

RANDOM_SEEDS = 20
SEEDS_IN_BOTH = 3
DIRECTED_IN_RAFT = [name for name in WORLDS if name.startswith("raft-")]


def check(world: str, seed: int) -> Report:
    report = run(Task(seed, world))
    assert report.violation is None, f"{report.violation}\nreplay: {report.command}"
    return report


@pytest.mark.parametrize("seed", range(RANDOM_SEEDS))
def test_r44_a_random_world_is_safe_and_recovers(seed: int) -> None:
    check("raft", seed)


@pytest.mark.parametrize("world", DIRECTED_IN_RAFT)
def test_r44_a_directed_world_is_safe_and_recovers(world: str) -> None:
    check(world, 0)


@pytest.mark.exhaustive
@pytest.mark.parametrize("world", DIRECTED_IN_RAFT)
@pytest.mark.parametrize("seed", range(1, SEEDS_IN_BOTH))
def test_r44_further_seeds_of_a_directed_world(world: str, seed: int) -> None:
    check(world, seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(SEEDS_IN_BOTH))
@pytest.mark.parametrize("world", IN_RAFT_TOO)
def test_r44_a_world_of_both_modes_is_safe_and_recovers(world: str, seed: int) -> None:
    check(f"raft:{world}", seed)


def test_worlds_of_both_modes_have_no_liar_and_no_offline_recovery() -> None:
    for name in IN_RAFT_TOO:
        drawn = WORLDS[f"raft:{name}"](0)
        assert drawn.settings.mode is Mode.RAFT
        assert not drawn.adversaries
        assert not drawn.recovers_at
        assert drawn.old_speaker is None
        assert WORLDS[name](0).settings.mode is Mode.PBFT


def test_nothing_is_acknowledged_by_a_leader_that_is_cut_off_with_a_minority() -> None:
    """Durability and agreement would fail if it were; the world must come to that moment."""
    report = check("raft-minority-leader", 0)
    assert report.probes["raft.leader_without_quorum"]
    assert report.probes["raft.conflict_replaced"]


def test_a_record_that_is_void_is_found_in_its_world() -> None:
    for world in ("raft-void-records", "raft-void-and-pruned"):
        assert check(world, 0).probes["raft.void_record"]
