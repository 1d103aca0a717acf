"""Leadership transfer (Ongaro 2014, 3.10): a leader that stops on purpose hands over first (R44).

It proposes nothing more, and tells the first follower that has all of its log to campaign at once. That one's
request for votes says so, since members that hear a leader would refuse it. What waits here is forwarded to
the next leader when that speaks.
"""

from __future__ import annotations

from dtvn.protocol import quorum
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import AppendEntriesResult, TimeoutNow
from dtvn.protocol.consensus.raft.elections import Elections
from dtvn.protocol.consensus.raft.log import RaftLog
from dtvn.protocol.consensus.raft.replication import Replication
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.probes import probe


class HandOver:
    """Owns whether this member stops on purpose."""

    def __init__(self, state: State, log: RaftLog, elections: Elections, replication: Replication) -> None:
        self.state = state
        self.log = log
        self.elections = elections
        self.replication = replication
        self.stopping = False
        self._told_at = 0
        """Monotonic time when a follower was last told to campaign; 0: none was."""

    def begin(self) -> None:
        """This member stops: it asks its followers how far they are."""
        self.stopping = True
        if self.elections.leads:
            self.replication.send_now()

    def on_result(self, verified: Verified[AppendEntriesResult]) -> None:
        """A follower answered: it is told to campaign if its log has all that this one has."""
        message, member, state = verified.message, verified.peer.member, self.state
        if member is None or not (self.stopping and self.elections.leads) or not message.matches:
            return
        again = self._told_at + state.timeouts.timeout // 2
        if message.last == self.log.last and (not self._told_at or state.now.monotonic >= again):
            probe("raft.hands_over")
            self._told_at = state.now.monotonic
            state.outbox.note("hands_over", term=state.views.view, to=state.config.members[member])
            state.outbox.send(member, state.signer.link(TimeoutNow(state.config.epoch, state.views.view)))

    def on_timeout_now(self, verified: Verified[TimeoutNow]) -> None:
        """The leader stops: this member campaigns at once."""
        message, member, state = verified.message, verified.peer.member, self.state
        if message.term != state.views.view or member != quorum.primary(message.term, state.n):
            state.outbox.refused(Reason.NOT_PRIMARY, verified)
        elif state.may_sign_votes and not self.stopping:
            self.elections.campaign_now()
