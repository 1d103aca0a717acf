"""The two modes of a replica: whether it may vote, and where it stands in its view.

Each is one value with named transitions. A transition that no rule allows raises InvariantBreach.
"""

from __future__ import annotations

from typing import Literal

from dtvn.protocol.consensus.errors import InvariantBreach


class Vote:
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


class Phase:
    """Where this replica stands in the epoch (R29, R33, R35). Modes:

    normal      active in `view`
    changing    bound to `view` by its VIEW-CHANGE, and waiting for the NEW-VIEW
    ended       another core, or none, goes on at the end of the turn: this one ignores all other messages
    """

    __slots__ = ("mode", "view", "why_ended")

    def __init__(self) -> None:
        self.mode: Literal["normal", "changing", "ended"] = "normal"
        self.view = 0
        self.why_ended = ""
        """Why this core ended; "" before."""

    @property
    def changing(self) -> bool:
        """Whether this replica waits for the NEW-VIEW of `view`."""
        return self.mode == "changing"

    @property
    def ended(self) -> bool:
        """Whether the host replaces or stops this core at the end of the turn."""
        return self.mode == "ended"

    def is_active(self, view: int) -> bool:
        """Whether this replica is active in `view`."""
        return view == self.view and self.mode == "normal"

    def is_ahead(self, view: int) -> bool:
        """Whether this replica has not entered `view` or a higher one yet."""
        return view > self.view or (view == self.view and self.mode == "changing")

    def become_changing(self, view: int) -> None:
        """normal or changing -> changing, to a higher view."""
        if self.mode == "ended" or view <= self.view:
            raise InvariantBreach(f"{self.mode} in view {self.view}, was to leave for view {view}")
        self.mode, self.view = "changing", view

    def become_normal(self, view: int) -> None:
        """normal or changing -> normal, in a higher view or the one this replica is bound to."""
        if self.mode == "ended" or not self.is_ahead(view):
            raise InvariantBreach(f"{self.mode} in view {self.view}, was to enter view {view}")
        self.mode, self.view = "normal", view

    def become_ended(self, why: str) -> None:
        """Any mode -> ended. The first cause counts."""
        self.mode, self.why_ended = "ended", self.why_ended or why
