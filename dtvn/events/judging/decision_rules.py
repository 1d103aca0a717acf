"""The rules by which votes become a decision, over the same votes for all algorithms.

| algorithm | verdict | without one |
|---|---|---|
| majority | at least `needed` votes; valid if more are valid than invalid | NO_QUORUM |
| unanimous | any invalid vote: invalid; valid votes of all members: valid | INSUFFICIENT_NODES |
| pbft | that of `needed` equal votes | PBFT_NO_CONSENSUS |
| raft | that of `needed` equal votes | NO_QUORUM |

`needed` is the contract's size or the quorum of the members, whichever is greater: any two sets of that size
share an honest member, so up to f liars never cause two verdicts, whatever is lost or late. With 3f + 1
members both are the same number; with 5 or 7 members the contract's majority (3, 4) could be turned by f
liars. In a Raft cluster f is 0 (R44): any majority decides, and *raft* takes the place of *pbft*.

A certificate holds `needed` equal votes (all members' for a valid verdict of *unanimous*, a quorum's for an
invalid one), so there can be a verdict without a certificate, never a certificate against the verdict.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dtvn.events.config import Algorithm, ConfigError, ConsensusConfig, algorithms_of
from dtvn.events.rules import quoted
from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode

NO_DECISIONS = "NO_DECISIONS"
NO_QUORUM = "NO_QUORUM"
INSUFFICIENT_NODES = "INSUFFICIENT_NODES"
PBFT_NO_CONSENSUS = "PBFT_NO_CONSENSUS"
"""Rule ids of decisions that could not be made."""
REFUSED_BY_FEW = "REFUSED_BY_FEW"
"""Rule id of a refusal for which fewer than f + 1 members name the same rule: liars alone could have invented
it."""
ALGORITHM_NOT_OFFERED = "algorithm_not_offered"


class AlgorithmNotOffered(ValueError):
    """The cluster cannot decide by this algorithm."""

    code = ALGORITHM_NOT_OFFERED

    def __init__(self, algorithm: str, offered: tuple[Algorithm, ...], why: str = "") -> None:
        """`algorithm`: whatever name was asked for. `why`: the setting that prevents it; "" if no setting
        does."""
        names = ", ".join(offered) or "none"
        reason = f" ({why})" if why else ""
        name = str(algorithm) if algorithm in list(Algorithm) else quoted(algorithm)
        super().__init__(f"algorithm: {name} is not offered here{reason}; offered: {names}")
        self.algorithm = algorithm


class Verdict(StrEnum):
    """The members' joint verdict on a chunk."""

    VALID = "valid"
    INVALID = "invalid"
    NONE = "none"
    """Too few votes, or votes too different."""


class Count(msgspec.Struct, frozen=True, gc=False):
    """Numbers of votes on one question, by verdict."""

    valid: int
    invalid: int
    largest_valid: int
    """Size of the largest group of equal valid votes."""
    largest_invalid: int
    missing: int
    """Members that may still vote."""

    @property
    def votes(self) -> int:
        return self.valid + self.invalid


class DecisionRule(msgspec.Struct, frozen=True):
    """One algorithm for one number of members."""

    algorithm: Algorithm
    members: int
    needed: int
    """Votes without which there is no verdict."""
    mode: Mode
    """How the members agree on the log."""

    @property
    def quorum(self) -> int:
        """Size of a quorum of the members."""
        return quorum.quorum(self.members, self.mode)

    def needed_equal(self, valid: bool) -> int:
        """Equal votes in a certificate of this verdict."""
        if self.algorithm is Algorithm.UNANIMOUS and not valid:
            return self.quorum
        return self.needed

    @property
    def asked_first(self) -> int:
        """Members to ask at once; majority and raft ask others where one abstains or differs, or is late."""
        few = self.algorithm in (Algorithm.MAJORITY, Algorithm.RAFT)
        return self.needed if few else self.members

    @property
    def believable(self) -> int:
        """Members that must say the same before it is shown as a reason: one of them is honest."""
        return quorum.weak_quorum(self.members, self.mode)

    def verdict(self, count: Count) -> Verdict | None:
        """The verdict that no missing vote can change; None while one can."""
        match self.algorithm:
            case Algorithm.MAJORITY:
                return self._majority(count)
            case Algorithm.UNANIMOUS:
                return self._unanimous(count)
            case _:
                return self._equal_votes(count)

    def _majority(self, count: Count) -> Verdict | None:
        if count.votes + count.missing < self.needed:
            return Verdict.NONE
        if count.votes < self.needed:
            return None
        if count.valid > count.invalid + count.missing:
            return Verdict.VALID
        return Verdict.INVALID if count.valid + count.missing <= count.invalid else None

    def _unanimous(self, count: Count) -> Verdict | None:
        if count.invalid:
            return Verdict.INVALID
        if count.valid >= self.needed:
            return Verdict.VALID
        return None if count.missing else Verdict.NONE

    def _equal_votes(self, count: Count) -> Verdict | None:
        if count.largest_valid >= self.needed:
            return Verdict.VALID
        if count.largest_invalid >= self.needed:
            return Verdict.INVALID
        within_reach = max(count.largest_valid, count.largest_invalid) + count.missing >= self.needed
        return None if within_reach else Verdict.NONE

    def certificate_within_reach(self, count: Count, valid: bool) -> bool:
        """Whether missing votes could still complete a certificate of this verdict."""
        largest = count.largest_valid if valid else count.largest_invalid
        return count.missing > 0 and largest + count.missing >= self.needed_equal(valid)

    def failure(self, count: Count) -> tuple[str, str]:
        """(rule id, sentence) of a decision that could not be made."""
        if not count.votes:
            return NO_DECISIONS, "No member has voted."
        only = f"Only {count.votes} of {self.needed} members have voted."
        if self.algorithm is Algorithm.MAJORITY:
            return NO_QUORUM, only
        if self.algorithm is Algorithm.UNANIMOUS:
            return INSUFFICIENT_NODES, only
        largest = max(count.largest_valid, count.largest_invalid)
        code = NO_QUORUM if self.algorithm is Algorithm.RAFT else PBFT_NO_CONSENSUS
        if largest == count.votes:  # nobody disagrees
            return code, only
        return code, f"Only {largest} of {self.needed} votes are equal."

    def refusal(self, invalid: int, *, named: bool) -> str:
        """The sentence of a refusal without a certificate by `invalid` members; `named`: enough of them name
        the same rule."""
        verb = "refuses" if invalid == 1 else "refuse"
        said = f"{invalid} of {self.members} members {verb} this"
        if named:
            return f"{said}; too few votes are equal for a certificate."
        return f"{said}, and fewer than {self.believable} name the same rule, so none is given as the reason."


def decision_rule(
    config: ConsensusConfig, members: int, mode: Mode, algorithm: Algorithm | None = None
) -> DecisionRule:
    """The rule of a cluster of `members` that was founded with `mode`, for `algorithm` or for the configured
    one.

    Raises AlgorithmNotOffered for an algorithm that this cluster was not founded with or is too small for,
    and ConfigError if the configured one cannot work with so few members.
    """
    chosen = config.algorithm if algorithm is None else algorithm
    names = offered(config, members, mode)
    if chosen not in names:
        why = refusal(chosen, config, members, mode)
        if algorithm is None and chosen in algorithms_of(mode):
            raise ConfigError(why)
        # Sizes that are set for an algorithm of the other mode are not asked of this cluster's own.
        raise AlgorithmNotOffered(chosen, names or offered(ConsensusConfig(), members, mode), why)
    if chosen is Algorithm.MAJORITY and config.require_unanimous:
        chosen = Algorithm.UNANIMOUS
    safe = quorum.quorum(members, mode)
    needed = {
        Algorithm.MAJORITY: max(config.quorum_size, safe),
        Algorithm.UNANIMOUS: members,
        Algorithm.RAFT: max(config.quorum_size, safe),
        Algorithm.PBFT: max(2 * config.byzantine_fault_tolerance + 1, safe),
    }
    return DecisionRule(chosen, members, needed[chosen], mode)


def offered(config: ConsensusConfig, members: int, mode: Mode) -> tuple[Algorithm, ...]:
    """The algorithms by which a cluster of `members` can decide with these settings."""
    if members < max(config.min_nodes, config.quorum_size):
        return ()
    pbft = members > 3 * config.byzantine_fault_tolerance
    return tuple(each for each in algorithms_of(mode) if each is not Algorithm.PBFT or pbft)


def refusal(algorithm: Algorithm, config: ConsensusConfig, members: int, mode: Mode) -> str:
    """Why such a cluster cannot decide by an algorithm that is not among its offered ones."""
    return _too_small(config, members) if algorithm in algorithms_of(mode) else other_mode(mode)


def other_mode(mode: Mode) -> str:
    """Why a cluster of this mode does not decide by the other mode's algorithm, and what to do."""
    if mode is Mode.RAFT:
        return (
            f"this cluster was founded with raft, {quorum.RAFT_LABEL}; one that tolerates liars is founded "
            "with `make up CONSENSUS=pbft` or `manage.py genesis init --consensus pbft`"
        )
    return (
        "this cluster was founded with pbft; another one is founded with `make up CONSENSUS=raft` or "
        "`manage.py genesis init --consensus raft`"
    )


def _too_small(config: ConsensusConfig, members: int) -> str:
    if members < config.min_nodes:
        return f"min_nodes: {config.min_nodes} is more than the {members} members"
    if config.quorum_size > members:
        return f"quorum_size: {config.quorum_size} is more than the {members} members"
    liars = config.byzantine_fault_tolerance
    return f"byzantine_fault_tolerance: {liars} needs {3 * liars + 1} members, not {members}"
