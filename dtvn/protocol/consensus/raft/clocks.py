"""A leader's clock is checked before it proposes, and a candidate's before it is elected (R3).

A follower cannot refuse a proposal for its time: what it refused, a later leader might still carry, and q
members may have decided it. So the leader itself, which does not lie, proposes only while q members (itself
included) have a clock within the drift bound of its own. It learns theirs from their answers; a step of its
own clock shows against the monotonic one, and then it waits for new answers.
"""

from __future__ import annotations

from dtvn.protocol.consensus.ordering import WithheldForTime
from dtvn.protocol.consensus.state import State
from dtvn.protocol.probes import probe


class Clocks:
    """Owns the clocks of the other members, as they differ from the monotonic clock here."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._offsets: dict[int, int] = {}
        """Member -> microseconds by which its wall clock is ahead of the monotonic clock here."""
        self.withheld: WithheldForTime | None = None
        """The newest time that was refused here, or by which this leader did not propose."""

    def on_heard(self, member: int, clock: int) -> None:
        """A member's wall clock, in Unix microseconds, as its message arrives."""
        self._offsets[member] = clock - self.state.now.monotonic // 1_000

    def agrees(self, clock: int) -> bool:
        """Whether a candidate's clock is near this one; notes it if not."""
        if self.is_near(clock):
            return True
        probe("raft.candidate_with_wrong_clock")
        self._note(clock - self.state.now.wall // 1_000)
        return False

    def is_near(self, clock: int) -> bool:
        """Whether a member's clock, as its message arrives, is within the drift bound of this one."""
        return abs(clock - self.state.now.wall // 1_000) <= self.state.config.drift_bound

    def are_confirmed(self) -> bool:
        """Whether q members have a clock within the drift bound of this one."""
        state = self.state
        own = (state.now.wall - state.now.monotonic) // 1_000
        ahead = sorted((own - offset for offset in self._offsets.values()), key=abs)
        confirmed = sum(abs(each) <= state.config.drift_bound for each in ahead)
        if confirmed + 1 >= state.q:
            return True
        if len(ahead) + 1 >= state.q:
            probe("raft.leader_with_wrong_clock")
            self._note(ahead[state.q - 2])
        return False

    def _note(self, ahead: int) -> None:
        self.withheld = WithheldForTime(self.state.now.monotonic, ahead)
