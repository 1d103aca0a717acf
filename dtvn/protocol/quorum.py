"""All thresholds of the protocol, each in one named function (P1).

`2f + 1` is right only if n = 3f + 1: with n = 5 two such quorums of 3 may share only one member, which may
be the faulty one. ceil((n + f + 1) / 2) keeps 2q - n >= f + 1 for every n, and q <= n - f, so q is reachable.
All comparisons elsewhere are `>=`.
"""

from __future__ import annotations

from dtvn.wording import counted

CRASH_ONLY = "crash-only, no liar tolerated"
"""The label of n = 1, 2, 3 (R37)."""

MEMBERS_MAX = 31
"""Most members of one cluster, limited by the n squared messages."""


def faults(members: int) -> int:
    """f: how many of `members` may be Byzantine."""
    _check(members)
    return (members - 1) // 3


def quorum(members: int) -> int:
    """q: two sets of this size share at least f + 1 members, one of them honest."""
    return (members + faults(members) + 2) // 2


def weak_quorum(members: int) -> int:
    """f + 1: a set of this size has at least one honest member."""
    return faults(members) + 1


def suspicion_quorum(members: int) -> int:
    """Number of SUSPECTs that make a replica suspect the primary too: max(f + 1, 2) for n > 1 (R29)."""
    return 1 if members == 1 else max(weak_quorum(members), 2)


def crashes_tolerated(members: int) -> int:
    """n - q: how many members may be down while the rest still commits (R37: not the same as f)."""
    return members - quorum(members)


def primary(view: int, members: int) -> int:
    """Index of the primary of `view` in the epoch's member list."""
    return view % members


def fault_tolerance_note(members: int) -> str:
    """The limit of a small cluster's fault tolerance (R37); "" from four members on."""
    if faults(members):
        return ""
    return f"{CRASH_ONLY}; one crash stops it" if members == 2 else CRASH_ONLY


def fault_tolerance_sentence(members: int) -> str:
    """One sentence of the quorum calculator, which counts Byzantine and crashed members separately (R37)."""
    liars, crashes = faults(members), crashes_tolerated(members)
    text = (
        f"{counted(members, 'member')}: {quorum(members)} decide; safe with {liars} "
        f"Byzantine, available with {crashes} down"
    )
    return f"{text} ({fault_tolerance_note(members)})" if fault_tolerance_note(members) else text


def lost_votes_sentence(members: int, lost: int) -> str:
    """Why `lost` members that run without their votes never get them back, and what the operators can do
    (R11); "" if the other members can decide without them."""
    if lost <= crashes_tolerated(members):
        return ""
    text = (
        f"{lost} of {members} members have lost their votes, and only {quorum(members)} that vote can give "
        "them back: nothing will be decided"
    )
    if crashes_tolerated(members) + 1 >= quorum(members):  # enough members to recover it could also decide
        return f"{text}; only a new cluster can go on from what is left (manage.py genesis continue --help)."
    return f"{text} until all members recover the cluster (manage.py genesis recover --help)."


def _check(members: int) -> None:
    if not 1 <= members <= MEMBERS_MAX:
        raise ValueError(f"a cluster has 1 to {MEMBERS_MAX} members, not {members}")
