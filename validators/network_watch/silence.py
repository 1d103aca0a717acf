"""Which members hear others no longer, by the ages that they report. Pure.

Every member sends its Status to all others at least once a second. Ages are those of the moment of a report,
so that a report which comes late makes nobody silent.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from dtvn.protocol.partitions import Severity, partition_type, severity_of
from dtvn.watch import HEARD_WITHIN
from validators.network_watch.deciding import needed
from validators.network_watch.hearing import Hearing, Pair

SILENT_AFTER, SILENT_AFTER_SLOW = 4.6, HEARD_WITHIN
"""Seconds without a Status after which another one is silent: three that are lost are no cut. A line that is
slow or loses messages, where a frame may be sent four times, has longer."""
NEVER_AFTER = 10.0
"""Seconds for which a member that was never heard is waited for: it may be starting."""
RETURNS_FOR = 5.0
"""Seconds after its return for which a member's silences are unknown: one that hung heard nobody."""


class _Member(msgspec.Struct):
    """When it reported, monotonic seconds."""

    first: float
    newest: float
    returned: float = float("-inf")
    """When it reported again after it was away."""


class Silence:
    """Takes one look after the other."""

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}

    def add(self, hearing: Hearing, now: float, bad: Collection[Pair] = ()) -> Hearing:
        """Take a look, at `now` in monotonic seconds; returns it with the pairs that are silent. `bad`: lines
        that are slow or lose messages."""
        self._members = {name: each for name, each in self._members.items() if name in hearing.members}
        for name in hearing.ages:
            reported = now - hearing.late.get(name, 0.0)
            member = self._members.setdefault(name, _Member(reported, reported))
            if reported - member.newest > HEARD_WITHIN:
                member.returned = reported
            member.newest = max(member.newest, reported)
        silent = {
            (name, other)
            for name, ages in hearing.ages.items()
            for other, age in ages.items()
            if self._is_silent((name, other), age, bad)
        }
        known = {
            name: {
                other: age
                for other, age in ages.items()
                if self._can_tell(name, age, (name, other) in silent)
            }
            for name, ages in hearing.ages.items()
        }
        return msgspec.structs.replace(
            hearing, ages=known, silent=frozenset(pair for pair in silent if pair[1] in known[pair[0]])
        )

    def _is_silent(self, pair: Pair, age: float | None, bad: Collection[Pair]) -> bool:
        if age is None:
            member = self._members[pair[0]]
            return member.newest - member.first > NEVER_AFTER
        return age > (SILENT_AFTER_SLOW if pair in bad or pair[::-1] in bad else SILENT_AFTER)

    def _can_tell(self, name: str, age: float | None, silent: bool) -> bool:
        """Whether it is known if a member hears another one. Of one that it heard before it was away: not
        until it has been back for a while, and waits too long."""
        member = self._members[name]
        if age is None or member.newest - age >= member.returned - HEARD_WITHIN:
            return True
        return silent and member.newest - member.returned >= RETURNS_FOR


def severity(hearing: Hearing) -> str:
    """The worst severity of what members that report call a partition: less than a quorum is heard; "" if for
    none it is one."""
    count = len(hearing.members)
    found = []
    for name in hearing.ages:
        lost = sum(hearer == name for hearer, _heard in hearing.silent)
        if count - lost < needed(hearing):
            found.append(severity_of(partition_type(count - lost, count), count - lost, 1))
    return max(found, key=[*Severity].index, default="")
