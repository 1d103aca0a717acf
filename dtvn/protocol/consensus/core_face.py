"""What the cores of all modes show alike to their host and to people: see the package's docstring."""

from __future__ import annotations

from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.timers import Timers

LATELY = 5_000_000_000
"""Nanoseconds for which it counts how far another member said that it was: two Pings and a half."""


class CoreFace:
    """The part of a voting core's interface that only reads its state and its timers."""

    state: State
    _timers: Timers

    def deadline(self) -> int | None:
        """Monotonic nanoseconds when `tick` must be called next; None if nothing is scheduled."""
        return self._timers.deadline()

    @property
    def claim(self) -> tuple[int, int]:
        """(incarnation, newest index) for the Hello of a member of a Raft cluster (R44)."""
        return (0, 0)

    @property
    def leads(self) -> bool:
        """Whether it is the leader, or primary, of its view."""
        state = self.state
        return state.n > 1 and state.is_primary and state.may_vote(state.views.view)

    @property
    def settled(self) -> bool:
        """Whether another member is known to lead."""
        return not self.leads and not self.state.views.changing

    @property
    def config(self) -> Config:
        """The configuration of this replica for its epoch."""
        return self.state.config

    @property
    def voting(self) -> bool:
        """Whether this replica has a vote."""
        return self.state.voting

    @property
    def executed(self) -> int:
        """The last executed sequence."""
        return self.state.executed

    @property
    def receiving(self) -> bool:
        """Whether a state transfer to this replica is running."""
        return self.state.transfer.active

    @property
    def is_behind(self) -> bool:
        """Whether its log says nothing about how long the others' logs are: some have more as far as this
        replica knows, or less than a quorum told it lately, and none since its start."""
        state = self.state
        if not state.has_reached_epoch or state.lag.target() > state.executed:
            return True
        lately = state.now.monotonic - LATELY
        return sum(at >= lately for at in state.lag.heard.values()) < state.config.q - 1

    def machine_clocks(self, now: Now) -> tuple[list[int], int]:
        """What the clocks of other members' machines show now, Unix nanoseconds; and how many of them must
        agree with a step of the own one before it is followed (R3)."""
        state = self.state
        if state.n == 1 or not state.config.shows_clocks:
            return [], 0
        return state.clocks.machines(now), state.config.f + 1

    def _begin(self, now: Now) -> None:
        self._timers.begin_step(now.monotonic)
        self.state.now = now
