"""Looks at members that a test makes up."""

from __future__ import annotations

from collections.abc import Iterable

from dtvn.protocol.quorum import Mode
from validators.network_watch.hearing import Hearing, Pair

NAMES = ("venue", "promoter", "seller", "auditor")


def look(
    at: float,
    *silent: Pair,
    names: tuple[str, ...] = NAMES,
    unseen: Iterable[str] = (),
    stopped: Iterable[str] = (),
    hanging: Iterable[str] = (),
    age: float | None = 10.0,
    mode: Mode = Mode.PBFT,
) -> Hearing:
    """All hear each other but for these (hearer, heard), which are silent for `age` seconds. `unseen`:
    members that do not report."""
    return Hearing(
        at=at,
        members=names,
        mode=mode,
        ages={
            one: {other: age if (one, other) in silent else 0.4 for other in names if other != one}
            for one in names
            if one not in unseen
        },
        silent=frozenset(silent),
        stopped=frozenset(stopped),
        hanging=frozenset(hanging),
    )


def between(one: Iterable[str], other: Iterable[str]) -> list[Pair]:
    """All pairs across a cut, in both directions."""
    pairs = [(a, b) for a in one for b in other]
    return [*pairs, *((b, a) for a, b in pairs)]
