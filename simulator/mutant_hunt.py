"""Finds the checker that catches a planted bug: the bug's own seed first, then others of its world."""

from __future__ import annotations

from functools import cache

import msgspec

from simulator.campaign import Task, run
from simulator.mutants import MUTANTS

SEEDS_MAX = 60
"""Seeds to try, from the mutant's own seed on, before the mutant counts as not caught."""


class Verdict(msgspec.Struct, frozen=True):
    """The result of a hunt for one planted bug."""

    name: str
    rule: str
    sentence: str
    caught: bool
    seed: int
    checker: str | None
    violation: str | None
    command: str
    """Exits 1 with the checker's name; without `--mutant NAME` it exits 0."""


def hunt(name: str) -> Verdict:
    """Plant the mutant in one seed after the other. A seed counts only if the unchanged product breaks no
    promise in it."""
    mutant = MUTANTS[name]
    for seed in range(mutant.seed, mutant.seed + SEEDS_MAX):
        task = Task(seed, mutant.world, name)
        report = run(task)
        if report.violation is None or not _unchanged_keeps_promises(seed, mutant.world):
            continue
        return _verdict(name, seed, report.checker, report.violation)
    return _verdict(name, mutant.seed, None, None)


@cache
def _unchanged_keeps_promises(seed: int, world: str) -> bool:
    """Many mutants are planted in the same world."""
    return run(Task(seed, world)).violation is None


def _verdict(name: str, seed: int, checker: str | None, violation: str | None) -> Verdict:
    mutant = MUTANTS[name]
    command = f"manage.py simulator run --mutant {name} --seed {seed} --world {mutant.world}"
    return Verdict(name, mutant.rule, mutant.sentence, checker is not None, seed, checker, violation, command)
