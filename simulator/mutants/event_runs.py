"""Runs of agent events and locks: one history, certificates, evidence, one holder (P2, P9, P22, R3, R27)."""

from __future__ import annotations

from typing import Any

from simulator.mutants.registry import replaces
from simulator.seams import DecisionRule, Locks, RuledRun, VoteTally, judging, locks, runs


@replaces(runs, "_continues", "second-history-recorded", "P9", world="recorded-runs")
def continues_anything(_right: Any, run: Any, start: bytes, previous: bytes, question: Any) -> bool:
    """A record need not continue its run."""
    return True


@replaces(runs, "_continues", "history-without-head", "P9", world="recorded-runs", seed=1)
def continues_by_position(right: Any, run: Any, start: bytes, previous: bytes, question: Any) -> Any:
    """Position and state must fit, but not the chunks before."""
    return right(run, start, start if run is None else run.head, question)


@replaces(runs, "check_certificate", "record-of-one-member", "P2 R27", world="recorded-runs")
def unchecked(*_arguments: Any) -> None:
    """The signatures under a recorded verdict are not counted or checked."""


@replaces(VoteTally, "_contradicted", "second-vote-forgotten", "P22", world="two-votes")
def forgets(*_arguments: Any) -> None:
    """Of two different votes of one member the first counts, and the second is dropped."""


@replaces(locks, "_is_of", "lock-of-two-holders", "P9", world="recorded-runs")
def anybody_holds(*_arguments: Any) -> bool:
    """A lock that is held is given to another one too."""
    return True


@replaces(Locks, "begin", "lease-without-end", "R3", world="recorded-runs")
def never_ends(*_arguments: Any) -> None:
    """A lease ends only when its holder gives the lock back."""


@replaces(Locks, "lock", "token-of-the-sequence-alone", "P9", world="recorded-runs")
def coarse_token(
    right: Any, self: Locks, event: str, command: Any, principal: str, *, place: Any, timestamp: int
) -> Any:
    """Two leases that begin in one batch have the same token."""
    return right(self, event, command, principal, place=(place[0], 0), timestamp=timestamp)


@replaces(DecisionRule, "needed_equal", "certificate-of-one-vote", "R27", world="two-votes")
def one_is_enough(*_arguments: Any) -> int:
    """A verdict's certificate holds the first vote that fits it."""
    return 1


@replaces(judging, "cast_vote", "vote-on-any-state", "P17", world="recorded-runs")
def votes_on_any_state(right: Any, question: Any, events: Any, run: RuledRun) -> Any:
    """A validator believes the state that a gateway sends."""
    true = run.state_digest
    run.state_digest = lambda: question.before  # type: ignore[method-assign]
    after = right(question, events, run)
    run.state_digest = true  # type: ignore[method-assign]
    return type(after)(question, run.state_digest(), after.errors)
