"""Marks at dangerous moments: `probe("view_change.carried")` says that a run came by here.

In a node nobody listens and a mark costs a call of an empty function, at moments that are rare anyway. The
simulator listens, and a campaign reports which moments no run ever reached (FoundationDB's CODE_PROBE):
what was never reached was never tested. Nothing may depend on a mark.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["PROBES", "listen", "probe"]

PROBES: dict[str, str] = {}
"""Every mark in the code, and what its moment is. A test compares this table with the code."""

_listeners: list[Callable[[str], None]] = []


def probe(name: str) -> None:
    """This moment was reached."""
    for listener in _listeners:
        listener(name)


def listen(listener: Callable[[str], None] | None) -> None:
    """Tell `listener` of every mark from now on; None: nobody."""
    _listeners[:] = [] if listener is None else [listener]
