"""Leaving a view so that a member may vote again (R11, decision 0164).

A member that lost its ledger votes again only in a view above all views that it may have been bound to. A
calm cluster stays in its view for weeks, so the member requests in its Pings the view it waits for, once it
needs nothing else. This is only a cause to suspect the view: q members must share it (R29). A liar may name
a view too, so each member is granted one view per `GRANT_EVERY`.
"""

from __future__ import annotations

from dtvn.protocol.consensus.causes import RETURNING
from dtvn.protocol.consensus.events import Listener, ReturnViewRequested
from dtvn.protocol.consensus.state import State

GRANT_EVERY = 60_000_000_000
"""Minimum nanoseconds between two views that are left for the same member."""
ALIVE = 6_000_000_000
"""Nanoseconds until a requested view expires unless a Ping repeats it: two Pings may be lost in a row."""
FARTHEST = 2
"""A requested view further ahead than this is not granted: an honest member waits for a view just above
those that other members reported, and a replica in a lower view will soon learn of these."""


class RejoinViews:
    """Owns the views that members wait for, and the times when a view was left for them."""

    def __init__(
        self,
        state: State,
        emit: Listener,
    ) -> None:
        self.state = state
        self._emit = emit
        self._heard: dict[int, tuple[int, int]] = {}
        """Member -> (view it waits for, monotonic time received)."""
        self._granted: dict[int, int] = {}
        """Member -> monotonic time when a view was left while it waited."""
        self._used: set[int] = set()
        """Members whose request became a cause since the last change of view. A member that withdraws its
        request after that has had its turn."""

    def on_said(self, member: int, view: int) -> None:
        """Handles the view that a member's Ping says it waits for; 0: it waits for no view."""
        if not view:
            self._heard.pop(member, None)
            if member in self._used:
                self._grant(member)
            return
        self._heard[member] = (view, self.state.now.monotonic)
        self._emit(ReturnViewRequested())

    def waits(self, member: int) -> bool:
        """Whether this member's request has not expired: it has no vote yet and cannot lead a view."""
        found = self._heard.get(member)
        return found is not None and self.state.now.monotonic < found[1] + ALIVE

    def cause(self, view: int) -> str | None:
        """RETURNING if this view should be left for a member that waits, else None."""
        return RETURNING if any(self._heeded(member, view) for member in self._heard) else None

    def _heeded(self, member: int, view: int) -> bool:
        granted = self._granted.get(member)
        if granted is not None and self.state.now.monotonic < granted + GRANT_EVERY:
            return False
        return self.waits(member) and view < self._heard[member][0] <= view + FARTHEST

    def on_cause(self, view: int) -> None:
        """Marks the members for whose request this replica now sends SUSPECT."""
        self._used.update(member for member in self._heard if self._heeded(member, view))

    def on_moved(self) -> None:
        """A view was left or entered, for any reason: every member that waited has had its turn."""
        for member in {*self._used, *filter(self.waits, self._heard)}:
            self._grant(member)

    def _grant(self, member: int) -> None:
        self._granted[member] = self.state.now.monotonic
        self._used.discard(member)

    def shift(self, gap: int) -> None:
        """Moves the times of received requests by a pause of this process, which must not age them (R31)."""
        self._heard = {member: (view, heard + gap) for member, (view, heard) in self._heard.items()}
