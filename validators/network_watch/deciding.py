"""Which members are known to have a quorum, and which would have one if they run. Pure.

A member that gives no report reaches nobody as far as is known; one whose process has ended or hangs, as this
platform knows, decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode
from validators.network_watch.hearing import Hearing, Pair, State

SURE_FRESH = 3.0
"""Seconds that a report may be old to show that its member runs: less than it takes to suspect one."""

Group = tuple[str, ...]


def components(members: Sequence[str], linked: Callable[[str, str], bool]) -> tuple[Group, ...]:
    """Members that are linked, directly or through others, the largest group first, then in the order of
    members."""
    left, groups = list(members), list[Group]()
    while left:
        group, edge = set[str](), {left[0]}
        while edge:
            group |= edge
            edge = {other for other in left if other not in group and any(linked(one, other) for one in edge)}
        groups.append(tuple(name for name in members if name in group))
        left = [name for name in left if name not in group]
    return tuple(sorted(groups, key=len, reverse=True))


def needed(hearing: Hearing) -> int:
    """Votes of a quorum: that of the whole cluster, also while members are cut off or stopped."""
    return quorum.quorum(len(hearing.members), hearing.mode)


def up(hearing: Hearing) -> list[str]:
    """Members that may run: all but those that are known to have ended, or to hang."""
    return [name for name in hearing.members if name not in hearing.down]


def known_to_decide(hearing: Hearing, silent: Collection[Pair] = ()) -> Group:
    """Members that have a quorum by reports that are new; () if no such are known. `silent`: as in
    `cuts.cut_of`."""

    def heard(hearer: str, other: str) -> bool:
        return (hearer, other) not in silent and hearing.state((hearer, other)) is State.HEARD

    report = [
        name for name in up(hearing) if name in hearing.ages and hearing.late.get(name, 0.0) <= SURE_FRESH
    ]
    groups = components(report, lambda one, other: heard(one, other) or heard(other, one))
    both = {(one, other) for one in report for other in report if heard(one, other) and heard(other, one)}
    return next((group for group in groups if _is_enough(group, hearing, both)), ())


def may_decide(groups: Sequence[Group], hearing: Hearing, silent: Mapping[Pair, float]) -> Group:
    """Of these groups, those members that have a quorum if what is unknown is well; () if none has."""
    for group in groups:
        left = tuple(name for name in group if name not in hearing.down)
        pairs = {(one, other) for one in left for other in left}
        if _is_enough(
            left,
            hearing,
            {(one, other) for one, other in pairs if not {(one, other), (other, one)} & silent.keys()},
        ):
            return left
    return ()


def _is_enough(group: Group, hearing: Hearing, both: Collection[Pair]) -> bool:
    """Whether a group can decide whose members hear each other `both` ways: with PBFT members pass on what
    others lack (decision 0042); with Raft a leader decides with those that it reaches itself."""
    if hearing.mode is Mode.PBFT:
        return len(group) >= needed(hearing)
    reached = (sum((one, other) in both for other in group if other != one) for one in group)
    return 1 + max(reached, default=-1) >= needed(hearing)


def outlook(hearing: Hearing) -> str:
    """What can be decided while nothing is cut, a sentence; "" for one member alone."""
    count, least = len(hearing.members), needed(hearing) if hearing.members else 0
    if count < 2:
        return ""
    if len(up(hearing)) < least:
        return too_few(hearing)
    if known_to_decide(hearing):
        return f"{least} of {count} members are a quorum, and decide together."
    return f"{least} of {count} members are a quorum; whether that many reach each other is not known here."


def too_few(hearing: Hearing) -> str:
    """That fewer members run than a quorum has, a sentence."""
    return (
        f"Too few members run for a quorum ({len(up(hearing))} of {len(hearing.members)}, and "
        f"{needed(hearing)} are needed): nothing is decided until more run."
    )
