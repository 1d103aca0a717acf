"""One member's report about itself. It may answer anything: a field that is missing, of another type or too
large counts as if it were not there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from dtvn.protocol.quorum import MEMBERS_MAX

COUNT_MAX = 1 << 63
TEXT_MAX = 200
"""Characters of a text, and of a name."""
SECONDS_MAX = 1e10
"""No difference between two times is larger: 317 years."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What may name a member."""
KINDS_MAX = 64
"""Kinds of refusals that a member counts of one peer."""


class OpenSequence(msgspec.Struct, frozen=True, kw_only=True):
    """The lowest sequence that is undecided on a member, and whose votes it has."""

    sequence: int = 0
    view: int = 0
    phase: str = ""
    prepares: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    abstain_reason: str = ""
    open_for: float = 0.0
    """Seconds."""


class MemberReport(msgspec.Struct, frozen=True, kw_only=True):
    """One member: first what its asker knows of it, then what it says of itself."""

    id: str
    index: int = 0
    connected: bool = False
    """Whether the asker has a link to it now."""
    primary: bool = False
    """Whether the asker takes it for the primary."""
    heard: float | None = None
    """Seconds since its newest answer; None: never."""
    heard_at: int | None = None
    """Monotonic nanoseconds of that answer by the asker's clock; None: as `heard` says."""
    missed: int = 0
    """Questions about itself that it left unanswered."""
    response_time_ms: float = 0.0
    """Milliseconds that its newest answer took; 0: none yet."""
    entering: int = 0
    """The epoch that has just begun, in which it has not reported a vote yet; 0: none."""
    clock_ahead: float | None = None
    """Seconds by which its clock was ahead of the asker's when it answered; None: unknown."""
    problem: str = ""
    """Why it gave no report; "" if it did."""

    state: str = ""
    """voting, following, waiting, contradiction or disk_full."""
    voting: bool = False
    """It has a vote and casts it: neither a follower, nor waiting for others, nor stopped."""
    voting_reason: str = ""
    changing: bool = False
    """It has left its view and not entered `view` yet."""
    contradiction: bool = False
    """It has stopped: two certificates contradict each other."""
    cluster: str = ""
    """Id of its cluster, in hexadecimal digits."""
    epoch: int = 0
    view: int = 0
    sequence: int = 0
    """Last executed."""
    stable: int = 0
    """Sequence of its newest stable checkpoint, which q members signed."""
    state_root: str = ""
    """Of that checkpoint."""
    complete_from: int = 0
    """The lowest sequence from which on its log has no holes; 0: it is whole."""
    catching_up_to: int = 0
    """The sequence up to which it lags; 0: it does not."""
    awaits: tuple[str, ...] = ()
    """Members whose word about its own votes it waits for (R11)."""
    others_are_gone: bool = False
    """Its votes rest on the operator's statement."""
    peers: tuple[str, ...] = ()
    """Members that it has a link to."""
    hears: Mapping[str, float | None] | None = None
    """Seconds since it last heard each other member; None: never. None as a whole: it does not report it."""
    round_trips: Mapping[str, float] = {}
    """Milliseconds to each other member."""
    late: Mapping[str, float] = {}
    """Share of the answers of each other member that came late, 0 to 1."""
    round_trip_ms: float = 0.0
    """Milliseconds within which a quorum answers it."""
    pending: int = 0
    """Requests that wait."""
    waits: float = 0.0
    """Seconds for which its oldest request has waited."""
    patience: float = 0.0
    """Seconds: T of R31, at rest; 0: unknown."""
    suspicion: str = ""
    """Why it suspects the view; "" if it does not."""
    leader: str = ""
    """Id of the primary of its view."""
    open: OpenSequence | None = None
    log_time: int = 0
    """Last effective time that it executed, Unix microseconds; 0: unknown."""
    log_time_ahead: float = 0.0
    """Seconds by which that is ahead of its clock."""
    withheld_ahead: float = 0.0
    """Seconds by which the time of a proposal from which it withholds its vote is ahead of its clock."""
    memory: int = 0
    """Bytes; 0: unknown."""
    differing: int = 0
    """Checkpoints that differed from the certified ones since it started."""
    refused: Mapping[str, Mapping[str, int]] = {}
    """What it refused of each peer, by code."""
    processor_seconds: float | None = None
    monotonic_seconds: float | None = None
    """Its processor time, and the time of its own clock; None: unknown."""


def read_report(member: str, fields: Mapping[str, Any], **known: Any) -> MemberReport:
    """The report in an answer to the question `status`. `known`: what its asker knows of the member."""
    told = {name: read(fields[key]) for name, (key, read) in _FIELDS.items() if key in fields}
    return MemberReport(
        id=member, **{name: value for name, value in told.items() if value is not None}, **known
    )


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < COUNT_MAX else None


def _flag(value: object) -> bool:
    return value is True


def _text(value: object) -> str | None:
    return value[:TEXT_MAX] if isinstance(value, str) and value.isprintable() else None


def _seconds(value: object) -> float | None:
    if type(value) not in (int, float) or not abs(value) < SECONDS_MAX:  # type: ignore[arg-type]
        return None  # NaN is not less
    return float(value)  # type: ignore[arg-type]


def _age(value: object) -> float | None:
    seconds = _seconds(value)
    return seconds if seconds is not None and seconds >= 0 else None


def _share(value: object) -> float | None:
    seconds = _seconds(value)
    return seconds if seconds is not None and 0 <= seconds <= 1 else None


def _names(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(name for name in value[:MEMBERS_MAX] if isinstance(name, str) and NAME.fullmatch(name))


def _each(value: object, read: Callable[[object], Any], most: int = MEMBERS_MAX) -> dict[str, Any] | None:
    """By name, what can be read; at most so many."""
    if not isinstance(value, dict):
        return None
    pairs = [(name, read(found)) for name, found in list(value.items())[:most] if _text(name) == name]
    return {name: found for name, found in pairs if found is not None}


def _ages(value: object) -> dict[str, float | None] | None:
    """None stands for never, so what is no age is left out apart."""
    if not isinstance(value, dict):
        return None
    pairs = [(name, found) for name, found in list(value.items())[:MEMBERS_MAX] if _text(name) == name]
    return {name: _age(found) for name, found in pairs if found is None or _age(found) is not None}


def _refusals(value: object) -> dict[str, dict[str, int]] | None:
    return _each(value, lambda counts: _each(counts, _count, KINDS_MAX), 4 * MEMBERS_MAX)


def _open(value: object) -> OpenSequence | None:
    if not isinstance(value, dict):
        return None
    told = {name: read(value[name]) for name, read in _OPEN.items() if name in value}
    return OpenSequence(**{name: found for name, found in told.items() if found is not None})


_OPEN: dict[str, Callable[[object], Any]] = {
    "sequence": _count,
    "view": _count,
    "phase": _text,
    "prepares": _names,
    "commits": _names,
    "abstain_reason": _text,
    "open_for": _age,
}
_READ: dict[str, Callable[[object], Any]] = {
    "state": _text,
    "voting": _flag,
    "voting_reason": _text,
    "changing": _flag,
    "contradiction": bool,
    "cluster": _text,
    "epoch": _count,
    "view": _count,
    "sequence": _count,
    "stable": _count,
    "state_root": _text,
    "complete_from": _count,
    "catching_up_to": _count,
    "awaits": _names,
    "others_are_gone": bool,
    "peers": _names,
    "round_trips": lambda value: _each(value, _age),
    "late": lambda value: _each(value, _share),
    "pending": _count,
    "waits": _age,
    "patience": _age,
    "suspicion": _text,
    "open": _open,
    "log_time": _count,
    "log_time_ahead": _seconds,
    "withheld_ahead": _seconds,
    "memory": _count,
    "refused": _refusals,
    "processor_seconds": _seconds,
    "monotonic_seconds": _seconds,
}
_FIELDS: dict[str, tuple[str, Callable[[object], Any]]] = {
    **{name: (name, read) for name, read in _READ.items()},
    "hears": ("heard", _ages),
    "round_trip_ms": ("quorum_round_trip_ms", _age),
    "leader": ("primary", _text),
    "differing": (
        "events",
        lambda value: _count(value.get("checkpoint_differs")) if isinstance(value, dict) else None,
    ),
}
"""Field of a report -> field of the answer, and how it is read."""
