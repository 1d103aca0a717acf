"""Every threshold of the protocol, each in one named function (PROTOCOL notation, PITFALLS row 1).

`2f + 1` is right only where n = 3f + 1: with n = 5 two such quorums of 3 may share one member, the
liar. ceil((n + f + 1) / 2) keeps 2q - n >= f + 1 for every n, and q <= n - f, so q is reachable.
All comparisons elsewhere are `>=`.
"""

from __future__ import annotations

__all__ = ["MEMBERS_MAX", "crashes_tolerated", "faults", "join", "primary", "quorum", "weak_quorum"]

MEMBERS_MAX = 31
"""Members of one cluster; n squared messages bound it (DESIGN section 12)."""


def faults(members: int) -> int:
    """f: how many of `members` may lie."""
    _check(members)
    return (members - 1) // 3


def quorum(members: int) -> int:
    """q: two sets of this size share at least f + 1 members, one of them honest."""
    return (members + faults(members) + 2) // 2


def weak_quorum(members: int) -> int:
    """f + 1: at least one of so many is honest."""
    return faults(members) + 1


def join(members: int) -> int:
    """How many suspects make others suspect too: max(f + 1, 2) for n > 1 (R29)."""
    return 1 if members == 1 else max(weak_quorum(members), 2)


def crashes_tolerated(members: int) -> int:
    """n - q: how many may be down while the rest still commits (R37: not the same as f)."""
    return members - quorum(members)


def primary(view: int, members: int) -> int:
    """Index of the primary of `view` in the epoch's member list."""
    return view % members


def _check(members: int) -> None:
    if not 1 <= members <= MEMBERS_MAX:
        raise ValueError(f"a cluster has 1 to {MEMBERS_MAX} members, not {members}")
