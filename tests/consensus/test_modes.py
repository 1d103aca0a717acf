"""The modes of a replica: every transition from every mode, and the modules that make it (R11, R29, R35)."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import dtvn.protocol.consensus as consensus
from dtvn.protocol.consensus.errors import InvariantBreach
from dtvn.protocol.consensus.modes import ViewStatus, VotingRight
from tests.support.table import table

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

VIEWS = {
    ("normal", "become_changing", 4): ("changing", 4),
    ("changing", "become_changing", 4): ("changing", 4),
    ("normal", "become_normal", 4): ("normal", 4),
    ("changing", "become_normal", 3): ("normal", 3),
    ("changing", "become_normal", 4): ("normal", 4),
}
"""(Where a replica of view 3 stands, transition, its view) -> (where it stands, view) afterwards; all others
are refused."""

CALLERS = {
    "become_follower": {"voting"},
    "become_holding": {"voting"},
    "become_voting": {"voting"},
    "become_changing": {"view_change"},
    "become_normal": {"view_change"},
    "become_ended": {"certificate_comparison", "epoch_change", "member"},
}
"""Transition -> modules that make it."""
CALLERS_OF_RAFT = {"become_changing": {"elections"}, "become_normal": {"elections"}}
"""The same of the modules of Raft."""


def vote_in(mode: str) -> VotingRight:
    vote = VotingRight(voting=mode != "none")
    if mode == "holding":
        vote.become_holding()
    return vote


def status_in(mode: str) -> ViewStatus:
    status = ViewStatus()
    status.become_changing(3)
    if mode == "normal":
        status.become_normal(3)
    return status


@table("mode", ["voting", "holding", "none"], count=3)
@table("transition", ["become_follower", "become_holding", "become_voting"], count=3)
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


@table("ended", [False, True], count=2)
@table("mode", ["normal", "changing"], count=2)
@table("transition", ["become_changing", "become_normal"], count=2)
@table("view", [2, 3, 4], count=3)
def test_transitions_of_the_view(mode: str, transition: str, view: int, ended: bool) -> None:
    status = status_in(mode)
    if ended:
        status.become_ended()
    after = None if ended else VIEWS.get((mode, transition, view))
    if after is None:
        with pytest.raises(InvariantBreach):
            getattr(status, transition)(view)
        after = (mode, 3)
    else:
        getattr(status, transition)(view)
    assert (status.changing, status.view, status.ended) == (after[0] == "changing", after[1], ended)
    assert [status.is_active(each) for each in (2, 3, 4)] == [after == ("normal", each) for each in (2, 3, 4)]
    assert status.is_ahead(after[1]) == status.changing
    assert status.is_ahead(5)
    assert not status.is_ahead(2)


def test_each_transition_is_made_in_the_modules_named_here() -> None:
    of_raft = frozenset((FOLDER / "raft").glob("*.py"))
    assert callers(frozenset(FOLDER.rglob("*.py")) - of_raft) == CALLERS
    assert callers(of_raft) == CALLERS_OF_RAFT


def callers(paths: Iterable[Path]) -> dict[str, set[str]]:
    """Transition -> the modules among these that make it."""
    found: dict[str, set[str]] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in CALLERS
            ):
                found.setdefault(node.func.attr, set()).add(path.stem)
    return found
