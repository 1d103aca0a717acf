"""Twins (OPODIS 2021) enumerated for n = 4: one member runs twice, and the network is partitioned in rounds.

A scenario is: which member has a twin (the primary of view 0 or of view 1), and for each of ROUNDS rounds one
of the fifteen ways to part five nodes into two groups (the empty partition included). Leaders follow from the
views that the partitions force. All 2 x 16^2 scenarios are numbered; the seed is the number, and larger seeds
play them again with other random choices.
"""

from __future__ import annotations

from dtvn.protocol.genesis import Parameters
from simulator.clock import MILLISECOND, SECOND
from simulator.faults import FaultPlan
from simulator.network import LinkQuality
from simulator.run_plan import Partition, RunPlan
from simulator.workload import Traffic
from simulator.world import Settings

ROUNDS = 2
ROUND = 900 * MILLISECOND
"""Long enough for two view changes at T = 200 ms."""
TWINNED = ("r0", "r1")
MEMBERS = ("r0", "r1", "r2", "r3")
PARTITIONS = 1 << len(MEMBERS)
"""Five nodes, the twin always in the second group: 2^4 ways."""
COUNT = len(TWINNED) * PARTITIONS**ROUNDS


def scenario(number: int) -> tuple[str, tuple[tuple[tuple[str, ...], ...], ...]]:
    """(member with a twin, the two groups of each round)."""
    number %= COUNT
    number, which = divmod(number, len(TWINNED))
    twinned = TWINNED[which]
    rounds = []
    for _ in range(ROUNDS):
        number, first = divmod(number, PARTITIONS)
        here = tuple(name for place, name in enumerate(MEMBERS) if first >> place & 1)
        there = tuple(name for name in (*MEMBERS, f"{twinned}~twin") if name not in here)
        rounds.append((here, there))
    return twinned, tuple(rounds)


def draw_run(seed: int) -> RunPlan:
    """The world of the scenario with this number."""
    twinned, rounds = scenario(seed)
    return RunPlan(
        settings=Settings(
            members=len(MEMBERS),
            learners=0,
            gateways=2,
            quality=LinkQuality(latency_min=MILLISECOND, latency_max=2 * MILLISECOND),
            parameters=Parameters(checkpoint_interval=5, view_timeout=200_000),
        ),
        traffic=Traffic(tickets=5, pause_max=80 * MILLISECOND),
        plan=FaultPlan(pause_max=100 * SECOND),
        adversaries=("twin/parted",),
        liars=(MEMBERS.index(twinned),),
        duration=SECOND // 2 + ROUNDS * ROUND,
        partitions=tuple(
            Partition(SECOND // 2 + number * ROUND, groups) for number, groups in enumerate(rounds)
        ),
        dead=False,
    )
