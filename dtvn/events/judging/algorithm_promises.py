"""What each algorithm promises in one cluster and what it costs, in numbers and sentences. Pure."""

from __future__ import annotations

import msgspec

from dtvn.events.config import ORDERED, Algorithm, ConsensusConfig
from dtvn.events.judging.decision_rules import DecisionRule, decision_rule, offered, refusal
from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode
from dtvn.wording import counted


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """One algorithm, as a cluster of this size and mode decides by it."""

    offered: bool
    """Whether this cluster decides by it."""
    reason: str
    """Why it does not; "" where it does."""
    members: int
    asked: int
    """Members that are asked at once; 0 if it is not offered, as all numbers below."""
    needed: int
    """Votes without which there is no valid verdict."""
    liars: int
    """Members that may lie without turning a verdict."""
    crashes: int
    """Members that may be down while the others still decide."""
    ordered: bool
    """Whether the members' log records the run, unless the caller says otherwise."""
    liar: str
    """What a lying member can do, as a sentence."""
    crash: str
    """What members can do that are down, as a sentence."""


def promises(config: ConsensusConfig, members: int, mode: Mode) -> dict[str, Promise]:
    """Every algorithm of the contract by name, those first that this cluster offers."""
    names = offered(config, members, mode)
    others = [each for each in Algorithm if each not in names]
    kept = {each.value: promise(decision_rule(config, members, mode, each)) for each in names}
    return kept | {each.value: _not_offered(each, config, members, mode) for each in others}


def promise(rule: DecisionRule) -> Promise:
    """What one rule promises."""
    liars, crashes = quorum.faults(rule.members, rule.mode), rule.members - rule.needed
    if rule.algorithm is Algorithm.UNANIMOUS:
        liars, liar = 0, "One that lies refuses every run, without a certificate; it makes no bad run valid."
    elif liars == 0:
        liar = "A lying member is not tolerated: it may turn a verdict."
    else:
        liar = f"{counted(liars, 'lying member')} cannot turn a verdict."
    return Promise(
        offered=True,
        reason="",
        members=rule.members,
        asked=rule.asked_first,
        needed=rule.needed,
        liars=liars,
        crashes=crashes,
        ordered=rule.algorithm in ORDERED,
        liar=liar,
        crash=f"With {crashes} down the others still decide; with one more there is no verdict."
        if crashes
        else "With one down no run is found valid.",
    )


def _not_offered(algorithm: Algorithm, config: ConsensusConfig, members: int, mode: Mode) -> Promise:
    return Promise(
        offered=False,
        reason=refusal(algorithm, config, members, mode),
        members=members,
        asked=0,
        needed=0,
        liars=0,
        crashes=0,
        ordered=algorithm in ORDERED,
        liar="",
        crash="",
    )
