"""Losing the vote, getting it back, and holding votes back at the start (R11)."""

from __future__ import annotations

from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.consensus.events import Listener, VoteLost, VoteRegained, VotesReleased
from dtvn.protocol.consensus.state import State


class Voting:
    """Writes `state.voting_right`."""

    def __init__(self, state: State, emit: Listener) -> None:
        self.state = state
        self._emit = emit

    def restore(self) -> None:
        """Makes this replica a follower at its start, as its ledger says that it lost its vote."""
        if self.state.voting:
            self.state.voting_right.become_follower("its ledger says so")

    def lose(self, reason: str) -> None:
        """Makes this replica a follower, across restarts too, and notes the reason."""
        state = self.state
        held = state.voting_right.holding
        state.voting_right.become_follower(reason)
        state.outbox.persist(StateRecord("voting", b"0"))
        state.outbox.note("follower", reason=reason)
        self._emit(VoteLost())
        if held:
            self._emit(VotesReleased())

    def regain(self) -> None:
        """Makes this replica vote again, across restarts too: no vote can contradict an earlier statement
        under its key any more."""
        state = self.state
        state.voting_right.become_voting()
        state.outbox.persist(StateRecord("voting", b"1"))
        state.outbox.note("votes_again", sequence=state.log.stable, view=state.views.view)
        self._emit(VoteRegained())

    def hold(self) -> None:
        """Holds votes back until enough members have answered."""
        self.state.voting_right.become_holding()

    def release(self) -> None:
        """Ends the wait that `hold` began."""
        self.state.voting_right.become_voting()
        self._emit(VotesReleased())
