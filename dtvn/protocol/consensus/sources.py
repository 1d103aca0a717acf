"""The port through which a learner chooses who brings it the log (dtvn.overlay.tree implements it; R28, R45).

A peer is an index: members of the epoch from 0 on, then members of a later epoch, then relays. Times are
monotonic nanoseconds. Who brings the log decides only how soon it comes: each entry proves itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

RENEW = 1_000_000_000
"""Nanoseconds between two Follows to the peer that pushes; each is valid for three seconds."""
RENEW_LAZY = 4 * RENEW
"""The same to one that announces, for which it is valid for twelve."""


class Ask(msgspec.Struct, frozen=True, gc=False):
    """What to send one peer now: a Follow that asks for entries (`eager`) or for announcements only (`lazy`),
    or a request for the entries `first` to `last` (`fetch`; a Follow has no last one)."""

    peer: int
    what: Literal["eager", "lazy", "fetch"]
    first: int
    last: int = 0


class Sources(Protocol):
    """The peers that may bring the log, and the one that pushes it."""

    @property
    def source(self) -> int | None:
        """The peer that pushes entries here (Plumtree's eager link upwards); None while there is none."""

    def links(self, up: Sequence[int], now: int) -> None:
        """The peers that are linked now; told whenever that changes."""

    def expects(self, peer: int) -> bool:
        """Whether this peer may send a range of the log now: it was asked for one."""

    def brought(self, peer: int, entries: int, executed: int, now: int) -> None:
        """A peer sent a range of which `entries` were new (0: none), executed up to `executed`."""

    def announced(self, peer: int, executed: int, now: int) -> None:
        """A peer says that it has executed up to this sequence: a claim until it brings that."""

    def fresh(self, now: int) -> None:
        """A head of a member came that is newer than its last one: what the peers show is not old."""

    def busy(self, peer: int, now: int) -> None:
        """A peer refused to push entries, for lack of a place."""

    def lied(self, peer: int, now: int) -> None:
        """A peer sent what is false or proves nothing."""

    def due(self, executed: int, now: int) -> list[Ask]:
        """What to send now: renewals, and changes of who pushes. Each is returned once."""

    def deadline(self) -> int:
        """Time of the next `due`."""
