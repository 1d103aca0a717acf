"""What is said of each algorithm is what its rule does."""

from __future__ import annotations

from itertools import product

import pytest

from dtvn.events.config import Algorithm, ConsensusConfig, algorithms_of
from dtvn.events.judging import Verdict, decision_rule, promises
from dtvn.events.judging.decision_rules import Count
from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode
from tests.support.table import table

CLUSTERS = [*product((1, 2, 3, 4, 5, 7, 10), Mode)]


def config(members: int, mode: Mode) -> ConsensusConfig:
    return ConsensusConfig(byzantine_fault_tolerance=quorum.faults(members, mode))


@table(("members", "mode"), CLUSTERS, count=14)
def test_as_many_may_be_down_as_is_said_and_no_more(members: int, mode: Mode) -> None:
    found = promises(config(members, mode), members, mode)
    assert list(found)[:3] == list(algorithms_of(mode))
    for name in algorithms_of(mode):
        rule, promise = decision_rule(config(members, mode), members, mode, name), found[name]
        assert promise.offered

        def verdict(down: int) -> Verdict | None:
            up = members - down
            return rule.verdict(Count(up, 0, up, 0, missing=0))  # noqa: B023

        assert verdict(promise.crashes) is Verdict.VALID
        assert verdict(promise.crashes + 1) is Verdict.NONE, name
        assert promise.needed == members - promise.crashes
        assert 0 < promise.asked <= members


@table(("members", "mode"), CLUSTERS, count=14)
def test_as_many_liars_turn_no_verdict_as_is_said(members: int, mode: Mode) -> None:
    for name, promise in promises(config(members, mode), members, mode).items():
        if not promise.offered:
            continue
        rule = decision_rule(config(members, mode), members, mode, Algorithm(name))
        for honest in range(members - promise.liars + 1):  # others are late, or never answer
            for liars in range(promise.liars + 1):
                count = Count(honest, liars, honest, liars, missing=members - honest - liars)
                assert rule.verdict(count) is not Verdict.INVALID or not liars, (name, honest, liars)
        assert ("not tolerated" in promise.liar) is (promise.liars == 0 and name != "unanimous")


@pytest.mark.parametrize("mode", list(Mode))
def test_the_other_modes_algorithm_says_why_it_is_not_offered(mode: Mode) -> None:
    other = next(each for each in Mode if each is not mode)
    found = promises(config(4, mode), 4, mode)
    assert list(found)[-1] == other.value
    assert f"CONSENSUS={other}" in found[other.value].reason
    assert (found[other.value].offered, found[mode.value].reason) == (False, "")


MORE = "With 1 down the others still decide; with one more there is no verdict."


@table(
    "name, members, liar, crash",
    [
        ("majority", 3, "A lying member is not tolerated: it may turn a verdict.", MORE),
        ("pbft", 4, "1 lying member cannot turn a verdict.", MORE),
    ],
    count=2,
)
def test_a_promise_is_said_in_sentences(name: str, members: int, liar: str, crash: str) -> None:
    found = promises(config(members, Mode.PBFT), members, Mode.PBFT)[name]
    assert (found.liar, found.crash) == (liar, crash)
