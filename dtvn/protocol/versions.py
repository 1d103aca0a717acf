"""The cluster's version: which forms and rules the log has from an epoch on (R47).

It stands among the parameters of the epoch. Below the version an operation, an outcome or a leaf has the
form of the version before, whichever program executes it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

FIRST = 1
"""Of every cluster whose parameters name none: release 0.1.0 founded such."""
LISTS = 2
"""Codes, products, events, lists, blocks and imports (R38 to R43), exits that only an unknown ticket or one
that is not inside refuses (R42), and the first place of a repeat in its leaf (R48)."""
NEWEST = LISTS
"""The newest version that this program runs; it runs the one before it too."""


_RELEASES = {FIRST: "0.1.0", LISTS: "0.2.0"}


def release(version: int) -> str:
    """The first release that runs this version, for people."""
    return _RELEASES.get(version, "a later release")


def waiting(version: int, runs: Mapping[str, str]) -> str:
    """Whom a version of the cluster waits for: `runs` has those members that do not run it, with what they
    run. Without a full stop, so that other sentences can include it."""
    return f"Version {version} waits for {', '.join(f'{member} ({what})' for member, what in runs.items())}"
