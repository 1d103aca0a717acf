"""Wall clocks step ahead and back, at one member, at several, at all, and at gateways: gates go on admitting
(R3, R14, R36)."""

from __future__ import annotations

import pytest

from simulator.campaign import Cut, Play, Task, run
from simulator.clock import SECOND
from simulator.clock_steps import HOUR
from simulator.cluster import Cluster
from simulator.mutant_hunt import hunt
from simulator.worlds import world_of

pytestmark = pytest.mark.exhaustive

MICROSECONDS_OF_AN_HOUR = 3_600_000_000


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "world",
    [
        "clocks-ahead-and-back",
        "clocks-back",
        "clocks-of-gateways",
        "clock-of-one",
        "clocks-ahead-in-halves",
        "clocks-behind-in-halves",
        "clocks-stepped-apart",
        "time-holder",
        "raft-clocks-apart",
        "clocks-among-crashes",
        "clocks-among-changes",
        "clock-and-long-turns",
        "late-new-view",
    ],
)
def test_r14_gates_admit_whatever_the_clocks_do(world: str, seed: int) -> None:
    report = run(Task(seed, world))
    assert report.violation is None, f"{report.violation}\nreplay: {report.command}"
    assert report.outcomes > 50, "this world does not try gates"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_r3_an_idle_night_suspects_nobody(seed: int) -> None:
    report = run(Task(seed, "idle-night"))
    assert report.violation is None, f"{report.violation}\nreplay: {report.command}"
    assert report.outcomes > 10, "and somebody comes"


@pytest.mark.parametrize("world", ["clocks-ahead-and-back", "clocks-among-crashes", "clocks-among-changes"])
def test_r3_log_time_stays_an_hour_ahead_of_all_clocks(world: str) -> None:
    """These worlds play what they say: most entries are executed while log time is ahead of the clocks."""
    drawn = world_of(world, 0)
    cluster = Cluster(0, drawn.settings)
    Play(cluster, drawn, Cut()).run()
    node = cluster.world.nodes[cluster.world.member_names[0]]
    assert node.look is not None
    ahead = node.look().timestamp - node.clock.now().wall // 1_000
    back = max(step.at for step in drawn.clock_steps)
    assert drawn.duration - back > 10 * SECOND
    assert ahead > MICROSECONDS_OF_AN_HOUR - (drawn.duration + 60 * SECOND) // 1_000
    assert {step.ahead for step in drawn.clock_steps} == {0, HOUR}


@pytest.mark.parametrize(
    ("mutant", "checker"),
    [
        ("dates-by-own-clock", "gates-admit"),
        ("misdated-is-final", "gates-admit"),
        ("one-refusal-tells-the-time", "gates-admit"),
        ("withheld-view-lasts", "gates-admit"),
        ("alive-by-clock-only", "gates-admit"),
        ("late-is-wrong", "proposal-time"),
        ("proposes-by-own-clock", "proposer-time"),
        ("leads-by-own-clock", "proposer-time"),
        ("elects-by-clock", "gates-admit"),
        ("time-may-be-held-back", "held-time"),
        ("weak-quorum-moves-a-view", "held-time"),
        ("old-log-is-held-back", "held-time"),
        ("follows-every-step", "own-clocks"),
    ],
)
def test_r3_r14_r36_each_bug_of_the_clocks_is_noticed(mutant: str, checker: str) -> None:
    assert hunt(mutant).checker == checker
