"""Cuts between members, in groups and in words. Pure: who does not hear whom is given.

Members belong to one group while any of them hears another, directly or through others. With PBFT every
member passes on what others lack (decision 0042), so a group decides as if all its links were up; with Raft a
leader decides with those that it reaches itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations

import msgspec

from dtvn.protocol.quorum import Mode
from validators.network_watch.deciding import (
    Group,
    components,
    known_to_decide,
    may_decide,
    needed,
    too_few,
    up,
)
from validators.network_watch.hearing import Hearing, Pair, State

TOLD_MAX = 5
"""Pairs that sentences name one by one."""

UNDECIDED = "nothing is decided until the cut heals, and nothing diverges."


class Statement(msgspec.Struct, frozen=True):
    """One thing that is wrong between members."""

    what: str
    """"venue cut from promoter": a sentence without its time and full stop."""
    since: float
    """Unix seconds."""
    also: str = ""
    """What belongs to it: "promoter hears venue"; "" for nothing."""

    def sentence(self, clock: Callable[[float], str]) -> str:
        """With its time, as `clock` writes Unix seconds; without a full stop."""
        return f"{self.what} since {clock(self.since)}{self.also and f'; {self.also}'}"


class Cut(msgspec.Struct, frozen=True):
    """All that is wrong between members at one time."""

    statements: tuple[Statement, ...]
    groups: tuple[Group, ...]
    """Members that reach each other, the largest group first. One group: only single links are cut."""
    decides: Group
    """Members that are known to have a quorum; () if none are."""
    may_decide: Group
    """If not: those that have one if they run and reach each other, which is not known; () if none has."""
    consequence: str
    """Which side can decide: sentences."""
    certain: bool
    """Whether all that are cut off are known to run: one that is cut off from this platform too cannot be
    told from one that has stopped."""
    extent: tuple[int, int]
    """Groups, and ordered pairs that are known not to hear: the greater, the worse."""
    severity: str = ""
    """As members call it (dtvn.protocol.partitions); "" if for none it is a partition."""

    @property
    def since(self) -> float:
        """When the first of it began, Unix seconds."""
        return min(statement.since for statement in self.statements)

    heard: str = ""
    """Who does not hear whom, of those that report; "" if all that are cut off are known to run."""

    @property
    def what(self) -> str:
        """All statements without times."""
        return "; ".join(statement.what for statement in self.statements)

    @property
    def known(self) -> str:
        """What is known for certain, in words without times: nothing of members that may have stopped."""
        return self.heard or self.what


def cut_of(hearing: Hearing, silent: Mapping[Pair, float]) -> Cut | None:
    """The cut that these silent pairs make: since when (Unix seconds), by (hearer, heard); None if they make
    none. Members of this platform whose process does not run are in no cut."""
    members = [name for name in hearing.members if name not in hearing.stopped]
    silent = {pair: since for pair, since in silent.items() if set(pair) <= set(members)}
    if not silent:
        return None
    groups = _groups(members, hearing, silent)
    statements = [*_apart(groups, hearing, silent), *_single(groups, hearing, silent)]
    if not statements:
        return None
    unseen = _unseen(groups, hearing)
    decides = known_to_decide(hearing, silent.keys())
    may = () if decides else may_decide(groups, hearing, silent)
    return Cut(
        tuple(statements),
        groups,
        decides,
        may,
        _consequence(groups, decides, may, hearing),
        certain=not unseen,
        extent=(len(groups), len(silent)),
        heard=_heard(groups, unseen, hearing),
    )


def named(names: Sequence[str]) -> str:
    """ "venue, seller and promoter"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _groups(members: Sequence[str], hearing: Hearing, silent: Mapping[Pair, float]) -> tuple[Group, ...]:
    """Members that reach each other, the largest group first, then in the order of members. Those that do not
    report and that nobody hears are together: what is between them cannot be seen."""
    return components(members, lambda one, other: _linked(one, other, hearing, silent))


def _linked(one: str, other: str, hearing: Hearing, silent: Mapping[Pair, float]) -> bool:
    """Whether nothing shows that two members are apart: one of them hears the other, or neither reports."""
    ways = ((one, other), (other, one))
    known = [way for way in ways if way in silent or hearing.state(way) is not State.UNKNOWN]
    return not known or any(way not in silent for way in known)


def _apart(groups: Sequence[Group], hearing: Hearing, silent: Mapping[Pair, float]) -> list[Statement]:
    """One statement if there are several groups."""
    if len(groups) < 2:
        return []
    between = [silent[pair] for pair in silent if not any(set(pair) <= set(group) for group in groups)]
    since = max(between)
    *others, least = groups
    also = _of_unseen(_unseen(groups, hearing), hearing)
    if len(groups) == 2 and len(least) == 1:
        return [Statement(f"{least[0]} cut from {named(others[0])}", since, also)]
    return [Statement(" | ".join(named(group) for group in groups), since, also)]


def _of_unseen(unseen: Sequence[str], hearing: Hearing) -> str:
    """What is to be said of members that are not seen to run; "" if there are none."""
    hanging = [name for name in unseen if name in hearing.hanging]
    late = [name for name in unseen if name in hearing.arriving and name not in hanging]
    left = [name for name in unseen if name not in hanging and name not in late]
    parts = (
        f"{named(hanging)} {_do('hang', hanging)}" if hanging else "",
        f"what {named(late)} {_do('report', late)} to this platform comes late" if late else "",
        f"{named(left)} {_do('report', left)} nothing to this platform, and may have stopped" if left else "",
    )
    return "; ".join(filter(None, parts))


def _heard(groups: Sequence[Group], unseen: Sequence[str], hearing: Hearing) -> str:
    """ "venue and seller hear nothing of auditor": of members that may have stopped; "" if there are none."""
    seen = [name for group in groups for name in group if name not in unseen and name in hearing.ages]
    return f"{named(seen)} {_do('hear', seen)} nothing of {named(unseen)}" if unseen and seen else ""


def _unseen(groups: Sequence[Group], hearing: Hearing) -> list[str]:
    """Members that do not report and are not known to run, if there are several groups."""
    known = hearing.running.union(hearing.ages, hearing.arriving)
    return [name for group in groups for name in group if name not in known] if len(groups) > 1 else []


def _single(groups: Sequence[Group], hearing: Hearing, silent: Mapping[Pair, float]) -> list[Statement]:
    """A statement for each two members of one group of which one does not hear the other."""
    found = []
    for group in groups:
        for one, other in combinations(group, 2):
            there, back = silent.get((one, other)), silent.get((other, one))
            if there is not None and back is not None:
                found.append(Statement(f"{one} cut from {other}", max(there, back)))
            elif there is not None:
                found.append(_one_way(one, other, there, hearing))
            elif back is not None:
                found.append(_one_way(other, one, back, hearing))
    if len(found) > TOLD_MAX:
        left = found[TOLD_MAX - 1 :]
        since = min(statement.since for statement in left)
        found[TOLD_MAX - 1 :] = [Statement(f"{len(left)} more pairs", since)]
    return found


def _one_way(hearer: str, heard: str, since: float, hearing: Hearing) -> Statement:
    back = hearing.state((heard, hearer))
    also = f"{heard} hears {hearer}" if back is State.HEARD else f"{heard} reports nothing of {hearer}"
    return Statement(f"{hearer} does not hear {heard}", since, also)


def _consequence(groups: Sequence[Group], decides: Group, may: Group, hearing: Hearing) -> str:
    count, least = len(hearing.members), needed(hearing)
    if decides:
        return _goes_on(groups, decides, hearing)
    if len(up(hearing)) < least:
        return too_few(hearing)
    if may:
        return (
            f"If {named(may)} run and reach each other, they have a quorum ({_votes(may, hearing)}) and go on"
            f"{_rest(groups, may, hearing)}."
        )
    if len(groups) == 1:
        return f"No member reaches a quorum itself ({least} of {count} members): {UNDECIDED}"
    return f"No side has a quorum ({least} of {count} members): {UNDECIDED}"


def _goes_on(groups: Sequence[Group], decides: Group, hearing: Hearing) -> str:
    if len(groups) > 1:
        told = f"{named(decides)} have a quorum ({_votes(decides, hearing)}) and go on"
        return f"{told}{_rest(groups, decides, hearing)}."
    if hearing.mode is Mode.RAFT:
        reached = f"{needed(hearing)} of {len(hearing.members)}"
        return f"Decisions go on with a leader that reaches {reached} members itself."
    who = "All" if decides == groups[0] else named(decides)
    return f"{who} still reach each other through others ({_votes(decides, hearing)}): decisions go on."


def _votes(group: Group, hearing: Hearing) -> str:
    return f"{len(group)} of {len(hearing.members)} members, and {needed(hearing)} are needed"


def _rest(groups: Sequence[Group], decides: Group, hearing: Hearing) -> str:
    """Of those that may run on the other sides, that they decide nothing: two quorums always meet."""
    others = (name for group in groups if not set(group) & set(decides) for name in group)
    rest = [name for name in others if name not in hearing.down]
    told = f"; {named(rest)} {_do('decide', rest)} nothing until the cut heals, and nothing diverges"
    return told if rest else ""


def _do(verb: str, names: Iterable[str]) -> str:
    """The verb for that many."""
    return verb if len(tuple(names)) > 1 else f"{verb}s"
