"""Who hears whom at one time, as the members themselves report it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum

import msgspec

from dtvn.protocol.quorum import Mode
from dtvn.watch import HEARD_WITHIN, MemberReport

Pair = tuple[str, str]
"""(hearer, heard): ids of two members."""


class State(StrEnum):
    """Whether a member hears another one."""

    HEARD = "heard"
    SILENT = "silent"
    UNKNOWN = "unknown"
    """The hearer does not report it: it does not answer this platform, or is of an older release."""


class Hearing(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears whom at one time."""

    at: float
    """Unix seconds."""
    members: tuple[str, ...]
    """Ids, in the order of the epoch."""
    mode: Mode = Mode.PBFT
    ages: Mapping[str, Mapping[str, float | None]] = {}
    """Of each member that reports: seconds since it last heard each other one; None: never."""
    late: Mapping[str, float] = {}
    """Seconds that the report of each member is old."""
    silent: frozenset[Pair] = frozenset()
    """Pairs of which the hearer has waited too long; see `silence`."""
    running: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    """Members of this platform whose process runs, and those whose does not: that silence is no cut."""
    hanging: frozenset[str] = frozenset()
    """Those whose process does not respond."""
    arriving: frozenset[str] = frozenset()
    """Members from which anything has arrived here of late: they run, though their reports are missing."""

    @property
    def down(self) -> frozenset[str]:
        """Members that decide nothing now, as this platform knows."""
        return self.stopped | self.hanging

    def pairs(self) -> Iterator[Pair]:
        """Every ordered pair of two members."""
        return ((one, other) for one in self.members for other in self.members if one != other)

    def state(self, pair: Pair) -> State:
        """Whether the hearer hears the other one."""
        if pair[1] not in self.ages.get(pair[0], {}):
            return State.UNKNOWN
        return State.SILENT if pair in self.silent else State.HEARD

    def last_heard(self, pair: Pair) -> float | None:
        """When the hearer last heard the other one, Unix seconds; None: never, or unknown."""
        age = self.ages.get(pair[0], {}).get(pair[1])
        return None if age is None else self.at - self.late.get(pair[0], 0.0) - age


def hearing_of(
    reports: Sequence[MemberReport],
    at: float,
    *,
    mode: Mode = Mode.PBFT,
    own: Mapping[str, bool | None] | None = None,
    arriving: Collection[str] = (),
) -> Hearing:
    """The report of all members as a gateway sees them at `at`, Unix seconds. `own`: whether the process runs
    of each member of this platform; None: it hangs.
    `arriving`: see Hearing."""
    names, own = tuple(each.id for each in reports), own or {}
    fresh = {each.id: each for each in reports if each.heard is not None and each.heard <= HEARD_WITHIN}
    return Hearing(
        at=at,
        members=names,
        mode=mode,
        ages={
            name: {
                other: age for other, age in (each.hears or {}).items() if other in names and other != name
            }
            for name, each in fresh.items()
        },
        late={name: each.heard or 0.0 for name, each in fresh.items()},
        running=frozenset(name for name in names if own.get(name) is True),
        stopped=frozenset(name for name in names if own.get(name) is False),
        hanging=frozenset(name for name in names if name in own and own[name] is None),
        arriving=frozenset(arriving),
    )
