"""All thresholds of the protocol, each in one named function (P1).

`2f + 1` is right only if n = 3f + 1: with n = 5 two such quorums of 3 may share only one member, which may
be the faulty one. ceil((n + f + 1) / 2) keeps 2q - n >= f + 1 for every n, and q <= n - f, so q is reachable.
All comparisons elsewhere are `>=`.

A cluster that was founded with Raft tolerates no liar, whatever its size: f = 0, and any majority decides
(R44). How many members are needed therefore depends on the cluster's mode, which every function takes. There
is no default: a place that forgot it would count a Raft cluster's votes as if a member might lie.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

from dtvn.wording import counted


class Mode(StrEnum):
    """How the members of a cluster agree; sealed in its genesis, and the same for ever (R44)."""

    PBFT = "pbft"
    RAFT = "raft"


class Words(NamedTuple):
    """What a mode calls things, for people."""

    owner: str
    """Who orders requests."""
    view: str
    """The time of one owner."""
    change: str
    """What begins the next view, before its number."""


WORDS = {
    Mode.PBFT: Words("primary", "view", "view change to view"),
    Mode.RAFT: Words("leader", "term", "election for term"),
}
"""Castro & Liskov (1999), Ongaro & Ousterhout (2014)."""

CRASH_ONLY = "crash-only, no liar tolerated"
"""The label of n = 1, 2, 3 with PBFT (R37)."""

RAFT_LABEL = "crash-only: a lying member is not tolerated"
"""The label of every cluster with Raft (R44)."""

MEMBERS_MAX = 31
"""Most members of one cluster, limited by the n squared messages."""


def faults(members: int, mode: Mode) -> int:
    """f: how many of `members` may be Byzantine; none with Raft (R44)."""
    _check(members)
    return 0 if mode is Mode.RAFT else (members - 1) // 3


def quorum(members: int, mode: Mode) -> int:
    """q: two sets of this size share at least f + 1 members, one of them honest; n // 2 + 1 with Raft."""
    return (members + faults(members, mode) + 2) // 2


def weak_quorum(members: int, mode: Mode) -> int:
    """f + 1: a set of this size has at least one honest member."""
    return faults(members, mode) + 1


def suspicion_quorum(members: int, mode: Mode) -> int:
    """Number of SUSPECTs that make a replica suspect the primary too: max(f + 1, 2) for n > 1 (R29)."""
    return 1 if members == 1 else max(weak_quorum(members, mode), 2)


def crashes_tolerated(members: int, mode: Mode) -> int:
    """n - q: how many members may be down while the rest still commits (R37: not the same as f)."""
    return members - quorum(members, mode)


def starts_wait_for_all(members: int, mode: Mode) -> bool:
    """Whether a member that is started votes only after all others have shown it its own votes (R11); under
    Raft its witness suffices (R44)."""
    return mode is Mode.PBFT and members > 1 and faults(members, mode) == 0


def primary(view: int, members: int) -> int:
    """Index of the primary of `view` in the epoch's member list."""
    return view % members


def liars_words(members: int, mode: Mode) -> str:
    """How many of the members that signed something may lie, in words: a part of a proof's sentence (R37)."""
    liars = faults(members, mode)
    if liars:
        return f"of whom {liars} may lie"
    return RAFT_LABEL if mode is Mode.RAFT else CRASH_ONLY


def fault_tolerance_note(members: int, mode: Mode) -> str:
    """The limit of a cluster's fault tolerance (R37): "" if a member may lie; else its label, which warns if
    one crash stops it."""
    if faults(members, mode):
        return ""
    label = liars_words(members, mode)
    return f"{label}; one crash stops it" if members == 2 else label


def fault_tolerance_sentence(members: int, mode: Mode) -> str:
    """One sentence of the quorum calculator, which counts Byzantine and crashed members separately (R37)."""
    liars, crashes = faults(members, mode), crashes_tolerated(members, mode)
    text = (
        f"{counted(members, 'member')}: {quorum(members, mode)} decide; safe with {liars} "
        f"Byzantine, available with {crashes} down"
    )
    if crashes and starts_wait_for_all(members, mode):
        text += ", but a member that is started meanwhile waits for all others"
    note = fault_tolerance_note(members, mode)
    return f"{text} ({note})" if note else text


def waits_sentence(waiting: str, awaited: Collection[str]) -> str:
    """Whose word a member that runs waits for before it votes (R11); `awaited` is empty while it asks."""
    if not awaited:
        return f"{waiting} is asking the others which of its votes they hold; too few have answered yet"
    return f"{waiting} waits for the word of {', '.join(awaited)} about its own votes"


def start_waits_sentence(missing: Collection[str], members: int, mode: Mode) -> str:
    """What a start of a member comes to while others are `missing` (R11), a sentence without a full stop; ""
    where it votes without them."""
    if not missing or not starts_wait_for_all(members, mode):
        return ""
    verb = "is" if len(missing) == 1 else "are"
    return f"in this cluster a restarted member does not vote before {', '.join(missing)} {verb} back"


def lost_votes_sentence(members: int, lost: int, mode: Mode) -> str:
    """Why `lost` members that run without their votes never get them back, and what the operators can do
    (R11); "" if the other members can decide without them."""
    if lost <= crashes_tolerated(members, mode):
        return ""
    text = (
        f"{lost} of {members} members have lost their votes, and only {quorum(members, mode)} that vote can "
        "give them back: nothing will be decided"
    )
    # Enough members to recover it could also decide.
    if crashes_tolerated(members, mode) + 1 >= quorum(members, mode):
        return f"{text}; only a new cluster can go on from what is left (manage.py genesis continue --help)."
    return f"{text} until all members recover the cluster (manage.py genesis recover --help)."


def _check(members: int) -> None:
    if not 1 <= members <= MEMBERS_MAX:
        raise ValueError(f"a cluster has 1 to {MEMBERS_MAX} members, not {members}")
