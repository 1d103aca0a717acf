"""Each liar alone, as the first primary, against four honest rules: safe, live, and really lying."""

from __future__ import annotations

import pytest

from simulator.adversary import ADVERSARIES
from simulator.campaign import Task, run
from simulator.worlds import WORLDS

pytestmark = pytest.mark.exhaustive


def test_each_of_at_least_fifteen_liars_has_a_world_of_its_own() -> None:
    assert len(ADVERSARIES) >= 15
    assert set(ADVERSARIES) <= set(WORLDS)


@pytest.mark.parametrize("kind", ADVERSARIES)
def test_one_liar_of_four_breaks_no_promise(kind: str) -> None:
    report = run(Task(1, kind))
    assert report.violation is None, f"{report.violation}\nreplay: {report.command}"
    assert report.adversaries == (kind,)
    assert report.outcomes > 50


@pytest.mark.parametrize(
    ("kind", "marks"),
    [
        ("equivocator", {"evidence.double_proposal", "evidence.prepare", "evidence.commit"}),
        ("forger", {"evidence.checkpoint"}),
        ("invalid-batcher", {"ordering.abstained_bad_batch"}),
        ("false-timestamper", {"ordering.abstained_bad_timestamp"}),
        ("idle-primary", {"note.suspected.no_progress"}),
        ("early-equivocator", {"ordering.another_proposal_is_durable"}),
        ("late-votes", {"ordering.prepared_but_executed_otherwise"}),
        ("bad-log-results", {"catch_up.entry_differs"}),
    ],
)
def test_each_liar_leaves_its_expected_trace(kind: str, marks: set[str]) -> None:
    reached: set[str] = set()
    for seed in range(4):
        reached |= set(run(Task(seed, kind)).probes)
    assert reached & marks, sorted(reached)


@pytest.mark.parametrize(("mutant", "checker"), [("", None), ("early-votes-are-work", "gates-admit")])
def test_pitfall_13_votes_before_proposals_depose_nobody(mutant: str, checker: str | None) -> None:
    """A liar votes early for sequences to come: no proposal counts as waiting since then."""
    assert run(Task(1, "votes-before-proposals", mutant)).checker == checker
