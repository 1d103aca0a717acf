"""Random worlds must stay safe and come back (PROTOCOL R39). A failure prints its seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator import twins
from simulator.campaign import Task, run

SEEDS = 300
"""The smoke campaign, in small worlds; large ones are run by `manage.py simulator campaign`."""

TWINS_STEP = 17
"""Every so many-th of the twins scenarios; `simulator campaign --world twins --seeds 0:512` plays all."""

KEPT = Path(__file__).with_name("kept_seeds.txt")
"""Every seed that ever found something: world, seed, what it found. Lines are added, never taken away."""


def kept() -> list[tuple[str, int]]:
    lines = KEPT.read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return [(word[0], int(word[1])) for word in words]


def check(seed: int, world: str) -> None:
    report = run(Task(seed, world))
    assert report.violation is None, f"{report.violation}\nreplay: {report.command}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_random_world_is_safe_and_recovers(seed: int) -> None:
    check(seed, "small")


@pytest.mark.parametrize(("world", "seed"), kept())
def test_seeds_that_once_found_a_bug_find_none_now(world: str, seed: int) -> None:
    check(seed, world)


@pytest.mark.parametrize("scenario", range(0, twins.COUNT, TWINS_STEP))
def test_twins_never_fork_four_members(scenario: int) -> None:
    check(scenario, "twins")
