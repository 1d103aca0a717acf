"""The Raft core of one member (Ongaro & Ousterhout 2014; R44), behind the same face as the PBFT `Replica`.

For members that trust each other: it tolerates crashes, and no member that lies. Requests, execution,
checkpoints, catching up, state transfer and the change of epochs are those of PBFT; a view is a term.
Reading order: log, elections, replication, then the parts shared with PBFT (`parts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dtvn.protocol.consensus import events, restore
from dtvn.protocol.consensus.application import Application
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.core_face import CoreFace
from dtvn.protocol.consensus.dispatch import Dispatcher, Row, never
from dtvn.protocol.consensus.effects import Effects, Now, Reason
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.messages import (
    AppendEntries,
    AppendEntriesResult,
    Bundle,
    Checkpoint,
    Commit,
    Entries,
    FetchGroups,
    FetchSnapshot,
    Groups,
    Hello,
    Ping,
    Pong,
    Query,
    RequestVote,
    RequestVoteResult,
    Snapshot,
    Status,
    SupplyFrames,
    TimeoutNow,
)
from dtvn.protocol.consensus.raft import snapshot as snapshots
from dtvn.protocol.consensus.raft.parts import RaftParts
from dtvn.protocol.consensus.retransmission import SUPPLIED_MAX, MemberView
from dtvn.protocol.consensus.signer import Signer
from dtvn.protocol.consensus.snapshot import ReplicaSnapshot
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.timers import Timers
from dtvn.protocol.consensus.verified import Header, Verified, VerifiedBundle


class RaftReplica(Dispatcher, CoreFace, RaftParts):
    """The core of one member of a Raft cluster for one epoch. `voting` False: follows the log without a vote
    (R11). `inherited`: requests that were pending when the epoch before ended."""

    def __init__(
        self,
        config: Config,
        signer: Signer,
        application: Application,
        voting: bool,
        inherited: tuple[VerifiedBundle, ...] = (),
    ) -> None:
        state = State(config, signer, application, voting=voting)
        RaftParts.__init__(self, state, self._on_event)
        self.take(self._table())
        self._inherited = inherited
        self._begins_term = False
        """Whether this leader has not proposed the entry with which its term begins."""
        self._timers = Timers(
            state,
            self._ready_at,
            (
                self.catch_up,
                self.transfer,
                self.serving,
                self.elections,
                self.replication,
                self.pinging,
                self.statuses,
                self.forwarding,
            ),
            (self.rejoin_sequences, self.policy),
        )

    def _table(self) -> list[Row]:
        """The messages of Raft."""
        return [
            (Bundle, self.policy.on_bundle, lambda m, _p: self.policy.refuse_bundle(m)),
            (RequestVote, self.elections.on_request_vote, never),
            (RequestVoteResult, self.elections.on_vote, never),
            (AppendEntries, self.replication.on_append, never),
            (AppendEntriesResult, self._on_result, never),
            (Query, self.reads.on_query, self.reads.refuse),
            (TimeoutNow, self.hand_over.on_timeout_now, never),
            (Commit, self.replication.on_commit, self.replication.refuse_commit),
            (Checkpoint, self.checkpoints.on_checkpoint, lambda m, _p: self.checkpoints.refuse(m)),
            (Status, self.statuses.on_status, self.statuses.refuse),
            (SupplyFrames, self._on_frames, _refuse_frames),
            (Hello, self._on_hello, never),
            (Ping, self._on_ping, never),
            (Pong, self._on_pong, self.pinging.refuse_pong),
            (Entries, self.catch_up.on_entries, lambda m, p: self.catch_up.refuse_entries(p, len(m.entries))),
            (FetchSnapshot, self.serving.on_fetch_snapshot, never),
            (Snapshot, self.transfer.on_snapshot, lambda _m, p: self.transfer.refuse_snapshot(p)),
            (FetchGroups, self.serving.on_fetch_groups, never),
            (Groups, self.transfer.on_groups, self.transfer.refuse_groups),
        ]

    # --- the face -----------------------------------------------------------------------------------

    def restore(self, tail: LedgerTail, now: Now) -> Effects:
        """Resumes where the ledger ends."""
        state = self.state
        state.now = now
        self._timers.start(now.monotonic)
        restore.restore_log(self, tail)
        for record in tail.slots:
            if record.epoch == state.config.epoch and record.phase == "checkpoint":
                restore.restore_checkpoint(self, record)
        self.log.restore(tail)
        self.replication.restore(tail)
        self._note_open()
        self.epoch_change.restore(tail)
        self.transfer.restore(tail)
        self.serving.restore(tail)
        self.elections.restore(tail)
        if not state.voting:
            self.own_vote.lose(state.voting_right.reason)
        self.pinging.begin(tail)
        self.starts.restore(tail)
        if state.voting:
            for frame in self.checkpoints.mine.values():
                state.outbox.broadcast(frame)
        self.policy.requeue(self._inherited)
        if state.may_sign_votes:
            self.elections.begin()
        self._settle()
        if state.n > 1:
            self.statuses.say()
        self.contradictions.restore(tail.states)
        return state.outbox.take()

    def wants(self, header: Header) -> Reason | None:
        """As Dispatcher.wants; a link message of another epoch is refused too, since terms begin anew."""
        epoch = getattr(header.message, "epoch", None)
        if type(header.message) in _OF_EPOCH and epoch != self.state.config.epoch:
            return Reason.WRONG_EPOCH
        return super().wants(header)

    def receive(self, verified: Verified[Any], now: Now) -> Effects:
        """Handles one verified message."""
        self._begin(now)
        self.dispatch(verified)
        return self._end()

    def tick(self, now: Now) -> Effects:
        """Handles everything that is due, after the deadline has passed."""
        late = self._timers.lateness(now.monotonic)
        if late is not None:
            self.elections.on_late(late)
        self._begin(now)
        if not self.state.views.ended:
            self._timers.tick()
        return self._end()

    @property
    def claim(self) -> tuple[int, int]:
        """See CoreFace."""
        return self.starts.claim

    def resign(self, now: Now) -> Effects:
        """See CoreFace."""
        self._begin(now)
        self.hand_over.begin()
        return self._end()

    def snapshot(self) -> ReplicaSnapshot:
        """A frozen value for status pages."""
        return snapshots.take(self)

    def invariants(self) -> None:
        """Raises InvariantBreach if this replica contradicts itself. Called after each input."""
        state, executor = self.state, self.state.executor
        if executor.frontier.size != executor.executed:
            raise state.breach("the log's tree and its last sequence differ")
        if state.log.stable > executor.executed:
            raise state.breach("a checkpoint is stable that was not executed")
        if self.log.last < executor.executed:
            raise state.breach("the log ends below what is executed")

    @property
    def member_views(self) -> Mapping[int, MemberView]:
        """The newest Status of each other member."""
        return self.statuses.members

    @property
    def withheld_for_time(self) -> None:
        """Nothing: a follower refuses no time (R3)."""

    # --- messages -----------------------------------------------------------------------------------

    def _on_frames(self, verified: Verified[SupplyFrames]) -> None:
        """COMMITs and CHECKPOINTs sent again."""
        for found in verified.nested.values():
            self.dispatch(found)

    def _on_result(self, verified: Verified[AppendEntriesResult]) -> None:
        self.replication.on_result(verified)
        self.hand_over.on_result(verified)
        self.reads.on_result(verified)

    def _on_hello(self, verified: Verified[Hello]) -> None:
        """Another process of a member is heard: it may doubt this one until its next Ping."""
        if verified.peer.member is not None:
            self.starts.on_hello(verified.peer.member, verified.message)
            self.pinging.ask()

    def _on_ping(self, verified: Verified[Ping]) -> None:
        if verified.peer.member is not None:
            self.starts.on_ping(verified.peer.member, verified.message)
        self.pinging.on_ping(verified)

    def _on_pong(self, verified: Verified[Pong]) -> None:
        message, member = verified.message, verified.peer.member
        if member is not None and message.epoch == self.state.config.epoch:
            self.elections.on_shown(member, message.view)
        self.pinging.on_pong(verified)

    # --- what follows from an event -----------------------------------------------------------------

    def _on_event(self, event: events.Event) -> None:
        """Handles an event at once: the part that reports it continues afterwards."""
        match event:
            case events.Executed(_requests, term):
                self.elections.adopt(max(term, self.log.on_executed()))
            case events.StateFrozen(sequence):
                self.serving.on_frozen(sequence)
            case events.CheckpointAheadCertified(sequence):
                self.catch_up.on_certified(sequence)
            case events.CheckpointStable(sequence):
                self._on_stable(sequence)
            case events.LeftView():
                self.policy.follow()
                self.epoch_change.leave_view()
                self.replication.leave_term()
                self.reads.leave_term()
            case events.EnteredView():
                self._on_entered()
            case events.VoteLost():
                self.rejoin.begin()
                if self.state.is_primary and not self.state.views.changing:
                    self.elections.adopt(self.state.views.view + 1)
            case events.VoteRegained() | events.VotesReleased():
                self.replication.release()
                if self.state.may_sign_votes:
                    self.elections.begin()

    def _on_stable(self, sequence: int) -> None:
        """Prunes all parts: a stable checkpoint covers everything up to `sequence` (R24)."""
        state = self.state
        state.log.prune(sequence)
        state.bodies.prune(sequence)
        state.own_votes.prune(sequence)
        self.log.prune(sequence)
        self.replication.prune(sequence)
        self.epoch_change.on_stable(sequence)
        self.serving.on_stable(sequence)
        self.rejoin.try_regain_vote()
        self.pinging.on_stable()

    def _on_entered(self) -> None:
        """A leader is known. This one proposes the empty entry with which its term begins, and further ones
        when those before it are executed: requests in them may wait in the pool too."""
        self._note_open()
        if not self.elections.leads:
            self.policy.follow()
            self.policy.forward_waiting()
            return
        self.policy.lead()
        self.replication.lead()
        self.proposing.begin(self.log.last)
        self.proposing.begin_term()

    def _note_open(self) -> None:
        """Notes which open entries may end the epoch."""
        for index in self.log.open_indexes():
            batch = self.log.batch(index)
            if batch is not None:
                self.epoch_change.note_body(index, batch)

    # --- a step -------------------------------------------------------------------------------------

    def _ready_at(self) -> int | None:
        """See Proposing.ready_at; a leader that hands over proposes nothing more."""
        return None if self.hand_over.stopping else self.proposing.ready_at()

    def _end(self) -> Effects:
        self._settle()
        install = self.state.outbox.installs
        if install is not None:
            self.log.on_install(install.entry)
        return self.state.outbox.take()

    def _settle(self) -> None:
        """Ends a step: executes decided batches and proposes waiting requests."""
        state = self.state
        before = -1
        while before < state.executed and not state.views.ended:
            before = state.executed
            batch = self.log.batch(before + 1)
            if batch is not None and before + 1 in state.log.decisions:
                state.bodies.add(batch, before + 1, before)
            self.execution.run()
        self.reads.look()
        if state.views.ended:
            return
        self.proposing.run()


_OF_EPOCH = (RequestVote, RequestVoteResult, AppendEntries, AppendEntriesResult, TimeoutNow)


def _refuse_frames(message: SupplyFrames, _member: int | None) -> Reason | None:
    return Reason.TOO_LARGE if len(message.frames) > SUPPLIED_MAX else None
