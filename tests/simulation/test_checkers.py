"""Tests of the checkers: random worlds catch each kind of bug that no world is directed at.

The bugs are in simulator/mutants; `manage.py simulator mutants`, a step of `make test-all`, hunts them all,
each in its own world.
"""

from __future__ import annotations

import pytest

from simulator.checkers.linearizable import explains
from simulator.checkers.ticket_calls import EVER, Call
from simulator.mutant_hunt import hunt
from simulator.mutants import MUTANTS, NOT_PLANTED, planted
from simulator.mutants.registry import Plant, replaces
from simulator.seams import Ordering
from simulator.worlds import WORLDS

NUMBERS = (*range(1, 43), *range(44, 49))
RULES = {f"R{number}" for number in NUMBERS} | {f"P{number}" for number in range(1, 23)}


KINDS = [name for name, mutant in MUTANTS.items() if mutant.world == "random"]
"""Bugs that no world is directed at: random ones must find them."""


@pytest.mark.ci
@pytest.mark.parametrize("name", KINDS)
def test_random_worlds_find_the_planted_bug(name: str) -> None:
    verdict = hunt(name)
    assert verdict.caught, f"nobody noticed: {verdict.sentence}"
    assert f"--mutant {name} --seed {verdict.seed}" in verdict.command


def test_every_mutant_can_be_planted_and_removed() -> None:
    """Each replaces attributes that exist: `Plant.put` and `replaces` refuse any other."""
    for name in MUTANTS:
        with planted(name):
            pass
    with pytest.raises(KeyError):
        Plant().put(Ordering, "no_such_method", None)
    with pytest.raises(KeyError):
        replaces(Ordering, "no_such_method", "a-name", "R1")


def test_each_rule_and_pitfall_has_a_mutant_or_a_reason_for_none() -> None:
    planted = {rule for mutant in MUTANTS.values() for rule in mutant.rule.split()}
    assert planted <= RULES
    assert planted | set(NOT_PLANTED) >= RULES, RULES - planted - set(NOT_PLANTED)
    assert not planted & set(NOT_PLANTED)
    assert len(MUTANTS) >= 30
    assert {mutant.world for mutant in MUTANTS.values()} <= set(WORLDS)
    assert all(mutant.sentence for mutant in MUTANTS.values())


def call(kind: str, asked: int, answered: int, code: str) -> Call:
    return Call(kind, asked, answered, code)


def test_a_history_is_explained_only_by_an_order_that_respects_time() -> None:
    issued = call("issue", 0, 1, "ok")
    first, second = call("admit", 2, 5, "ok"), call("admit", 3, 6, "already_consumed")
    assert explains([issued, first, second])
    assert explains([issued, second, first]), "the order of the list says nothing"
    assert not explains([issued, first, call("admit", 6, 7, "ok")]), "admitted twice"
    assert not explains([issued, call("admit", 2, 3, "already_consumed"), call("admit", 4, 5, "ok")])
    assert explains([issued, call("admit", 2, 3, "already_consumed"), call("admit", 2, EVER, "")])
    assert not explains([call("validate", 5, 6, "ticket_not_found"), issued])
    assert explains([call("validate", 0, 6, "ticket_not_found"), issued])
