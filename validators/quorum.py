"""Every threshold of the protocol, each in one named function (PROTOCOL notation, PITFALLS row 1).

`2f + 1` is right only where n = 3f + 1: with n = 5 two such quorums of 3 may share one member, the
liar. ceil((n + f + 1) / 2) keeps 2q - n >= f + 1 for every n, and q <= n - f, so q is reachable.
All comparisons elsewhere are `>=`.
"""

from __future__ import annotations

__all__ = [
    "CRASH_ONLY",
    "MEMBERS_MAX",
    "crashes_tolerated",
    "describe",
    "faults",
    "join",
    "note",
    "primary",
    "quorum",
    "recovery",
    "weak_quorum",
]

CRASH_ONLY = "crash-only, no liar tolerated"
"""The label of n = 1, 2, 3 (R37)."""

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


def note(members: int) -> str:
    """What a small cluster does not tolerate (R37); "" from four members on."""
    if faults(members):
        return ""
    return f"{CRASH_ONLY}; one crash stops it" if members == 2 else CRASH_ONLY


def describe(members: int) -> str:
    """One sentence of the quorum calculator: liars and crashes apart (R37)."""
    liars, crashes = faults(members), crashes_tolerated(members)
    text = (
        f"{members} {_plural(members, 'member')}: {quorum(members)} decide; safe with {liars} "
        f"{_plural(liars, 'liar')}, goes on with {crashes} down"
    )
    return f"{text} ({note(members)})" if note(members) else text


def recovery(members: int, lost: int) -> str:
    """Why `lost` members that run without their votes never get them back, and what helps then (R11); ""
    while the others can decide without them."""
    if lost <= crashes_tolerated(members):
        return ""
    text = (
        f"{lost} of {members} members have lost their votes, and only {quorum(members)} that vote can give "
        "them back: nothing will be decided"
    )
    if crashes_tolerated(members) + 1 >= quorum(members):  # who could recover it would decide without
        return f"{text}; only a new cluster can go on from what is left (manage.py genesis continue --help)."
    return f"{text} until all members recover the cluster (manage.py genesis recover --help)."


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _check(members: int) -> None:
    if not 1 <= members <= MEMBERS_MAX:
        raise ValueError(f"a cluster has 1 to {MEMBERS_MAX} members, not {members}")
