"""The two modes of a replica: whether it may vote, and where it stands in its view.

Each changes by named transitions only. A transition that no rule allows raises InvariantBreach.
"""

from __future__ import annotations

from typing import Literal

from dtvn.protocol.consensus.errors import InvariantBreach


class VotingRight:
    """Whether this replica may vote (R11). Modes:

    voting     it may vote
    holding    it has a vote, and casts none until enough members have shown it its earlier statements
    none       it is a follower
    """

    __slots__ = ("mode", "reason")

    def __init__(self, *, voting: bool) -> None:
        self.mode: Literal["voting", "holding", "none"] = "voting" if voting else "none"
        self.reason = "" if voting else "started without a vote"
        """Why it has no vote; "" if it has one."""

    @property
    def voting(self) -> bool:
        """Whether this replica has a vote, which it may still hold."""
        return self.mode != "none"

    @property
    def holding(self) -> bool:
        """Whether votes wait for the answers of other members at the start."""
        return self.mode == "holding"

    def become_follower(self, reason: str) -> None:
        """Any mode -> none. A follower may find another reason."""
        self.mode, self.reason = "none", reason

    def become_holding(self) -> None:
        """voting -> holding."""
        if self.mode != "voting":
            raise InvariantBreach(f"a vote was to be held in mode {self.mode}")
        self.mode = "holding"

    def become_voting(self) -> None:
        """holding or none -> voting."""
        if self.mode == "voting":
            raise InvariantBreach("a replica that votes was to get its vote")
        self.mode, self.reason = "voting", ""


class ViewStatus:
    """Phase of this replica in its view and epoch (R29, R33, R35): active in `view`, or changing to it.

    An ended replica keeps both: another core, or none, goes on at the end of the turn.
    """

    __slots__ = ("changing", "ended", "view")

    def __init__(self) -> None:
        self.view = 0
        self.changing = False
        """Bound to `view` by its own VIEW-CHANGE, and waiting for the NEW-VIEW."""
        self.ended = False
        """The host replaces or stops this core at the end of the turn; it ignores all other messages."""

    def is_active(self, view: int) -> bool:
        """Whether this replica is in `view` and not changing."""
        return view == self.view and not self.changing

    def is_ahead(self, view: int) -> bool:
        """Whether this replica has not entered `view` or a higher one yet."""
        return view > self.view or (self.changing and view == self.view)

    def become_changing(self, view: int) -> None:
        """Leaves for a higher view."""
        if self.ended or view <= self.view:
            raise InvariantBreach(f"a replica {self} was to leave for view {view}")
        self.changing, self.view = True, view

    def become_normal(self, view: int) -> None:
        """Enters a higher view, or the one that this replica is bound to."""
        if self.ended or not self.is_ahead(view):
            raise InvariantBreach(f"a replica {self} was to enter view {view}")
        self.changing, self.view = False, view

    def become_ended(self) -> None:
        """The epoch is over, a state was received, or certificates contradict each other."""
        self.ended = True

    def __str__(self) -> str:
        return f"{'changing to' if self.changing else 'in'} view {self.view}{', ended' * self.ended}"
