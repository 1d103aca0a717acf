"""The modes of a replica: every transition from every mode, and the modules that make it (R11, R29, R35)."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

import dtvn.protocol.consensus as consensus
from dtvn.protocol.consensus.errors import InvariantBreach
from dtvn.protocol.consensus.modes import Phase, Vote

FOLDER = Path(consensus.__file__).parent

VOTES = {
    ("voting", "become_follower"): "none",
    ("holding", "become_follower"): "none",
    ("none", "become_follower"): "none",
    ("voting", "become_holding"): "holding",
    ("holding", "become_voting"): "voting",
    ("none", "become_voting"): "voting",
}
"""(Mode of the vote, transition) -> mode afterwards; all others are refused."""

PHASES = {
    ("normal", "become_changing", 4): ("changing", 4),
    ("changing", "become_changing", 4): ("changing", 4),
    ("normal", "become_normal", 4): ("normal", 4),
    ("changing", "become_normal", 3): ("normal", 3),
    ("changing", "become_normal", 4): ("normal", 4),
    ("normal", "become_ended", 3): ("ended", 3),
    ("changing", "become_ended", 3): ("ended", 3),
    ("ended", "become_ended", 3): ("ended", 3),
}
"""(Mode in view 3, transition, its view) -> (mode, view) afterwards; all others are refused."""

CALLERS = {
    "become_follower": {"voting"},
    "become_holding": {"voting"},
    "become_voting": {"voting"},
    "become_changing": {"view_change"},
    "become_normal": {"view_change"},
    "become_ended": {"contradiction", "epoch_change", "transfer"},
}
"""Transition -> modules that make it."""


def vote_in(mode: str) -> Vote:
    vote = Vote(voting=mode != "none")
    if mode == "holding":
        vote.become_holding()
    return vote


def phase_in(mode: str) -> Phase:
    phase = Phase()
    phase.become_changing(3)
    if mode == "normal":
        phase.become_normal(3)
    if mode == "ended":
        phase.become_ended("a test")
    return phase


@pytest.mark.parametrize("mode", ["voting", "holding", "none"])
@pytest.mark.parametrize("transition", ["become_follower", "become_holding", "become_voting"])
def test_transitions_of_the_vote(mode: str, transition: str) -> None:
    vote = vote_in(mode)
    assert vote.mode == mode
    make: Callable[..., None] = getattr(vote, transition)
    arguments = ("a test",) if transition == "become_follower" else ()
    after = VOTES.get((mode, transition))
    if after is None:
        with pytest.raises(InvariantBreach):
            make(*arguments)
        after = mode
    else:
        make(*arguments)
    assert (vote.mode, vote.voting, vote.holding) == (after, after != "none", after == "holding")
    assert bool(vote.reason) == (after == "none")


@pytest.mark.parametrize("mode", ["normal", "changing", "ended"])
@pytest.mark.parametrize("transition", ["become_changing", "become_normal", "become_ended"])
@pytest.mark.parametrize("view", [2, 3, 4])
def test_transitions_of_the_phase(mode: str, transition: str, view: int) -> None:
    phase = phase_in(mode)
    assert (phase.mode, phase.view) == (mode, 3)
    make: Callable[..., None] = getattr(phase, transition)
    if transition == "become_ended":
        make("another cause")
        assert phase.why_ended == ("a test" if mode == "ended" else "another cause")
        view = 3
    elif (mode, transition, view) in PHASES:
        make(view)
    else:
        with pytest.raises(InvariantBreach):
            make(view)
    after = PHASES.get((mode, transition, view), (mode, 3))
    assert (phase.mode, phase.view) == after
    assert (phase.changing, phase.ended) == (after[0] == "changing", after[0] == "ended")
    assert [phase.is_active(each) for each in (2, 3, 4)] == [after == ("normal", each) for each in (2, 3, 4)]
    assert phase.is_ahead(after[1]) == phase.changing
    assert phase.is_ahead(5)
    assert not phase.is_ahead(2)


def test_each_transition_is_made_in_the_modules_named_here() -> None:
    found: dict[str, set[str]] = {name: set() for name in CALLERS}
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in found
            ):
                found[node.func.attr].add(path.stem)
    assert found == CALLERS
