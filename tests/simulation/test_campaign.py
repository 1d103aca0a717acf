"""Random worlds must stay safe and come back (PROTOCOL R39; STYLE C18). A failure prints its seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.campaign import run

SEEDS = 150
"""The smoke campaign, in small worlds; large ones are run by `manage.py simulator campaign`."""

KEPT = Path(__file__).with_name("kept_seeds.txt")
"""Every seed that ever found something, with what it found. Lines are added, never taken away."""


def kept_seeds() -> list[int]:
    lines = KEPT.read_text(encoding="utf-8").splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


def check(seed: int, *, short: bool) -> None:
    report = run(seed, short=short)
    assert report.violation is None, f"{report.violation}\nreplay: {report.command}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_random_world_is_safe_and_comes_back(seed: int) -> None:
    check(seed, short=True)


@pytest.mark.parametrize("seed", kept_seeds())
def test_what_once_found_a_bug_finds_none_now(seed: int) -> None:
    check(seed, short=False)
