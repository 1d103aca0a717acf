"""Which members hear others no longer: one PartitionWatch for each member, over what it reports. Pure.

Each watch sees the network as its member does, and suspects others by the rhythm of their Statuses. Its clock
is that of the member's newest report, so that a report which comes late makes nobody silent.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dtvn.protocol import quorum
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.durations import SECOND
from dtvn.protocol.partitions import PartitionWatch, RecoveryStrategy, Severity, WatchConfig
from dtvn.watch import HEARD_WITHIN
from validators.network_watch.hearing import Hearing

WINDOW = 120
"""Inter-arrival times remembered of each pair: two minutes."""
CONFIG = WatchConfig(
    recovery_strategy=RecoveryStrategy.WAIT, heartbeat_timeout=round(HEARD_WITHIN * SECOND), window=WINDOW
)
"""Here a cut is told, and is over when all hear each other: nothing is to be done by this process."""
NEWER = SECOND // 20
"""Nanoseconds by which a time must be later than the one before to be another Status, at least: ages are
rounded."""

AWAY = round(HEARD_WITHIN * SECOND)
"""Nanoseconds without a report after which a member counts as away."""
RETURNS_FOR = 5 * SECOND
"""Nanoseconds after its return for which its silences are unknown: one that hung heard nobody meanwhile."""


class _Member:
    """The watch of one member, and when it last heard each other one, monotonic nanoseconds."""

    def __init__(self, name: str) -> None:
        self.watch = PartitionWatch(name, CONFIG)
        self.members: tuple[str, ...] = ()
        self.reported = 0
        self.returned = -(1 << 62)
        """When it reported again after it was away; before all times if it never was."""
        self.heard: dict[str, int] = {}
        self.silence: dict[str, int] = {}
        """Of each other one: nanoseconds of its silence by the newest report."""

    def is_news(self, other: str, heard: int, reported: int) -> bool:
        """Whether it heard another Status, at `heard`, since its last report. If so, that time is later by
        more than the silence of then; if not, by as much as this report was longer under way, on a busy
        machine by seconds."""
        newer = max(NEWER, self.silence.get(other, 0) // 2)
        return heard > self.heard.get(other, self.reported or reported) + newer

    def can_tell(self, other: str, age: float | None) -> bool:
        """Whether it is known if it hears another one, last heard `age` seconds before its newest report. Of
        one that it heard before it was away only: not until it has been back for a while, and waits too
        long."""
        if age is None or self.reported - round(age * SECOND) >= self.returned - AWAY:
            return True
        return self.reported - self.returned >= RETURNS_FOR and other in self.watch.unreachable_nodes()


class Silence:
    """Takes one look after the other."""

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}

    def add(self, hearing: Hearing, now: Now) -> Hearing:
        """Take a look, whose time is `now`; returns it with the pairs that are silent."""
        self._members = {name: each for name, each in self._members.items() if name in hearing.members}
        for name, ages in hearing.ages.items():
            member = self._members.setdefault(name, _Member(name))
            late = round(hearing.late.get(name, 0.0) * SECOND)
            reported = Now(monotonic=now.monotonic - late, wall=now.wall - late)
            if reported.monotonic > member.reported:
                _report(member, hearing, ages, reported)
        silent = {name: frozenset(self._members[name].watch.unreachable_nodes()) for name in hearing.ages}
        known = {
            name: {other: age for other, age in told.items() if self._members[name].can_tell(other, age)}
            for name, told in hearing.ages.items()
        }
        return msgspec.structs.replace(
            hearing,
            ages=known,
            silent=frozenset(
                (name, other) for name in silent for other in silent[name] if other in known[name]
            ),
        )

    def severity(self, hearing: Hearing) -> str:
        """The worst severity of what members that report call a partition; "" if none of them does."""
        active = (self._members[name].watch.get_current_partition() for name in hearing.ages)
        found = [info.severity for info in active if info is not None]
        return max(found, key=[*Severity].index, default="")


def _report(member: _Member, hearing: Hearing, ages: Mapping[str, float | None], reported: Now) -> None:
    """Tell a watch what its member reports at `reported`. What it heard before it was watched says nothing of
    a rhythm."""
    watch, members = member.watch, hearing.members
    if member.reported and reported.monotonic - member.reported > AWAY:
        member.returned = reported.monotonic
    if members != member.members:
        member.members = members
        watch.require(
            quorum_size=quorum.quorum(len(members), hearing.mode), min_nodes_for_operation=1, now=reported
        )
        watch.set_nodes(members, reported)
    for other, age in ages.items():
        if age is None:
            continue
        silence = round(age * SECOND)
        heard = reported.monotonic - silence
        if member.is_news(other, heard, reported.monotonic):
            watch.update_node_health(other, True, 0.0, _at(heard, reported))
            member.heard[other] = heard
        member.silence[other] = silence
    member.reported = reported.monotonic
    due = watch.deadline()
    if due is not None and due <= reported.monotonic:
        watch.tick(reported)


def _at(monotonic: int, now: Now) -> Now:
    return Now(monotonic=monotonic, wall=now.wall - (now.monotonic - monotonic))
