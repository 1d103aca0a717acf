"""Random worlds must stay safe and come back (PROTOCOL R39): fresh ones each day, and every seed that once
found something. A failure prints the command that replays its world, and adds it to the kept ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator import twins
from simulator.campaign import Task, run
from simulator.shrinking import failure
from tests.simulation import fresh

KEPT = Path(__file__).with_name("kept_seeds.txt")
"""Every seed that ever found something: world, seed, what it found. Lines are added, never taken away."""


def kept() -> list[tuple[str, int]]:
    lines = KEPT.read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return [(word[0], int(word[1])) for word in words]


def play(world: str, seed: int) -> None:
    task = Task(seed, world)
    assert run(task).violation is None, failure(task)


@pytest.mark.every_row
@pytest.mark.parametrize("seed", fresh.seeds())
def test_a_fresh_random_world_is_safe_and_recovers(seed: int) -> None:
    task = Task(seed, fresh.WORLD)
    if (violation := run(task).violation) is not None:
        fresh.keep(KEPT, seed, violation)
        pytest.fail(failure(task), pytrace=False)


@pytest.mark.parametrize(("world", "seed"), kept())
def test_seeds_that_once_found_a_bug_find_none_now(world: str, seed: int) -> None:
    play(world, seed)


@pytest.mark.parametrize("scenario", range(0, twins.COUNT, 17))
def test_twins_never_fork_four_members(scenario: int) -> None:
    play("twins", scenario)


def test_a_failing_fresh_world_is_kept_once(tmp_path: Path) -> None:
    file = tmp_path / "kept.txt"
    file.write_text("random 7  an older finding\n")
    for _run in range(2):
        fresh.keep(file, 12, "two holders\nof one lock")
    assert file.read_text() == "random 7  an older finding\nrandom 12  two holders of one lock\n"
