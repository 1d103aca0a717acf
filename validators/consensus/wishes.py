"""Phase: leaving a view so that a member may vote again (R11, decision 0164).

A member that lost its ledger votes again only in a view above all that it may have been bound to. A calm
cluster stays in its view for weeks, so the member says in its Pings which view it waits for, once nothing
else is missing. That is a ground to suspect the view, no more: q members must share it (R29). A liar may say
it too, so each member is granted one view in `GRANT_EVERY`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["RETURNING", "Wishes"]

RETURNING = "returning_member"
"""The ground, in SUSPECTs and notes."""
GRANT_EVERY = 60_000_000_000
"""Nanoseconds between two views that are left for the same member."""
ALIVE = 6_000_000_000
"""Nanoseconds after which a wish that no Ping repeats has lapsed: two may be lost in a row."""
FARTHEST = 2
"""A wish for a view further ahead is not granted: an honest member waits for one above the views that others
told it, and who is in a lower one will hear of these."""


class Wishes:
    """Owns which views members wait for, and when one was left for them."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self._heard: dict[int, tuple[int, int]] = {}
        """Member -> (view it waits for, monotonic time heard)."""
        self._granted: dict[int, int] = {}
        """Member -> monotonic time when a view was left while it waited."""
        self._used: set[int] = set()
        """Members whose wish became a ground since the last move: who withdraws it then has had its turn."""

    def on_said(self, member: int, view: int) -> None:
        """A member's own link says which view it waits for; 0: none."""
        if not view:
            self._heard.pop(member, None)
            if member in self._used:
                self._grant(member)
            return
        self._heard[member] = (view, self.core.now.monotonic)
        self.core.suspicion.evaluate()

    def waits(self, member: int) -> bool:
        """Whether this member said lately that it has no vote yet: it will not lead either."""
        found = self._heard.get(member)
        return found is not None and self.core.now.monotonic < found[1] + ALIVE

    def ground(self, view: int) -> str | None:
        """RETURNING if this view is one that should be left for somebody."""
        return RETURNING if any(self._heeded(member, view) for member in self._heard) else None

    def _heeded(self, member: int, view: int) -> bool:
        granted = self._granted.get(member)
        if granted is not None and self.core.now.monotonic < granted + GRANT_EVERY:
            return False
        return self.waits(member) and view < self._heard[member][0] <= view + FARTHEST

    def on_ground(self, view: int) -> None:
        """This replica says SUSPECT for it."""
        self._used.update(member for member in self._heard if self._heeded(member, view))

    def on_moved(self) -> None:
        """A view was left or entered, whatever for: who waited then has had its turn."""
        for member in {*self._used, *filter(self.waits, self._heard)}:
            self._grant(member)

    def _grant(self, member: int) -> None:
        self._granted[member] = self.core.now.monotonic
        self._used.discard(member)

    def shift(self, gap: int) -> None:
        """This process was paused: what was heard before is no older for it (R31)."""
        self._heard = {member: (view, heard + gap) for member, (view, heard) in self._heard.items()}
