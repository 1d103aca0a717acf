"""The PBFT core of one validator, without I/O: verified messages and time in, effects out.

`receive` hands a message to its subprotocol. A subprotocol calls those below it (see `subprotocols`), and
reports what those above must know as an event: `_on_event` says what follows from each.
Reading order: ordering (the three phases), proposing, execution, checkpoint, requests, retransmission and
transfer (lost messages), suspicion and view_change (a primary that fails), restore.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dtvn.protocol.consensus import events, invariants
from dtvn.protocol.consensus import restore as restoring
from dtvn.protocol.consensus import snapshot as snapshots
from dtvn.protocol.consensus.application import Application
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.core_face import CoreFace
from dtvn.protocol.consensus.dispatch import Dispatcher, table
from dtvn.protocol.consensus.effects import Effects, Now
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.ordering import WithheldForTime
from dtvn.protocol.consensus.retransmission import MemberView
from dtvn.protocol.consensus.signer import Signer
from dtvn.protocol.consensus.snapshot import ReplicaSnapshot
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.subprotocols import Subprotocols
from dtvn.protocol.consensus.timers import Timers
from dtvn.protocol.consensus.verified import Verified, VerifiedBundle

DEEP_CHECK_EVERY = 64
"""Steps between two checks of all open slots in `invariants`."""


class Replica(Dispatcher, CoreFace, Subprotocols):
    """The consensus core of one member for one epoch (see dtvn.protocol.consensus). `voting` False: follows
    the log without a vote (R11). `inherited`: requests that were pending when the epoch before ended."""

    def __init__(
        self,
        config: Config,
        signer: Signer,
        application: Application,
        voting: bool,
        inherited: tuple[VerifiedBundle, ...] = (),
    ) -> None:
        state = State(config, signer, application, voting=voting)
        Subprotocols.__init__(self, state, self._on_event)
        self.take(table(self))
        self._inherited = inherited
        self._steps = 0
        self._timers = Timers(
            state,
            self.proposing.ready_at,
            (
                state.batch_fetches,
                state.view_change_fetches,
                self.catch_up,
                self.transfer,
                self.serving,
                self.suspicion,
                self.pinging,
                self.retransmission,
            ),
            (self.rejoin_views, self.rejoin_sequences, self.policy),
        )

    # --- the face -----------------------------------------------------------------------------------

    def restore(self, tail: LedgerTail, now: Now) -> Effects:
        """Resumes where the ledger ends and sends the own statements again, byte for byte (R7)."""
        state = self.state
        state.now = now
        self._timers.start(now.monotonic)
        restoring.restore(self, tail)
        self.epoch_change.restore(tail)
        self.transfer.restore(tail)
        self.serving.restore(tail)
        if not state.voting:
            self.own_vote.lose(state.voting_right.reason)
        self.pinging.begin(tail)
        highest = max(state.log.highest, state.views.reproposed_up_to, state.executed)
        self.suspicion.begin()
        self.view_change.install_reproposed()
        if state.is_primary and not state.views.changing:
            self.policy.lead()
            self.proposing.begin(highest)
        restoring.say_again(self)
        self._vote_on_open_slots()
        self.policy.requeue(self._inherited)
        self._settle()
        if state.n > 1:
            self.retransmission.say()
        self.contradictions.restore(tail.states)
        return state.outbox.take()

    def receive(self, verified: Verified[Any], now: Now) -> Effects:
        """Handles one verified message."""
        self._begin(now)
        self.dispatch(verified)
        self._settle()
        return self.state.outbox.take()

    def tick(self, now: Now) -> Effects:
        """Handles everything that is due, after the deadline has passed."""
        late = self._timers.lateness(now.monotonic)
        if late is not None:
            self.suspicion.on_late(late)
        self._begin(now)
        self._timers.tick()
        self._settle()
        return self.state.outbox.take()

    def resign(self, now: Now) -> Effects:
        """Asks the others to leave the view that this replica leads, since it stops on purpose (R29)."""
        self._begin(now)
        self.suspicion.resign()
        return self.state.outbox.take()

    def snapshot(self) -> ReplicaSnapshot:
        """A frozen value for status pages."""
        return snapshots.take(self)

    def invariants(self) -> None:
        """Raises InvariantBreach if this replica contradicts itself. Called after each input."""
        self._steps += 1
        invariants.check(self, deep=self._steps % DEEP_CHECK_EVERY == 0)

    @property
    def member_views(self) -> Mapping[int, MemberView]:
        """The newest Status of each other member."""
        return self.retransmission.members

    @property
    def withheld_for_time(self) -> WithheldForTime | None:
        """The newest vote that this replica withheld for a proposal's time (R3)."""
        return self.ordering.withheld_for_time

    # --- what follows from an event -----------------------------------------------------------------

    def _on_event(self, event: events.Event) -> None:
        """Handles an event at once: the subprotocol that reports it continues afterwards."""
        match event:
            case events.Executed(requests, _view):
                self.suspicion.on_executed(requests=requests)
                self.ordering.on_executed()
            case events.PrimaryHeard():
                self.suspicion.on_primary_heard()
            case events.StateFrozen(sequence):
                self.serving.on_frozen(sequence)
            case events.CheckpointAheadCertified(sequence):
                self.catch_up.on_certified(sequence)
            case events.CheckpointStable(sequence):
                self._on_stable(sequence)
            case events.ViewChangeCounted():
                self.suspicion.on_view_change()
            case events.ReturnViewRequested():
                self.suspicion.evaluate()
            case events.BadNewView(view):
                self.suspicion.on_bad_new_view(view)
            case events.LeftView(left_view, had_entered):
                self.suspicion.on_left(left_view, had_entered=had_entered)
            case events.EnteredView(left):
                self._on_entered(left)
            case events.StatementSupplied(verified):
                self.dispatch(verified)
            case events.VoteLost():
                self.policy.follow()
                self.rejoin.begin()
            case events.VoteRegained():
                self._lead(max(self.state.log.highest, self.state.views.reproposed_up_to, self.executed))
                self._vote_on_open_slots()
                self.view_change.recheck()
            case events.VotesReleased():
                self._vote_on_open_slots()
                self.view_change.recheck()

    def _on_stable(self, sequence: int) -> None:
        """Prunes all subprotocols: a stable checkpoint covers everything up to `sequence` (R24)."""
        state = self.state
        state.log.prune(sequence)
        state.bodies.prune(sequence)
        state.own_votes.prune(sequence)
        state.batch_fetches.prune(sequence)
        self.epoch_change.on_stable(sequence)
        self.suspicion.on_stable()
        self.serving.on_stable(sequence)
        self.view_change.install_reproposed()
        self.rejoin.try_regain_vote()
        self.pinging.on_stable()

    def _on_entered(self, left: events.Slots) -> None:
        """Updates all subprotocols for the view just entered. `left`: the slots of the old view."""
        state = self.state
        self.epoch_change.leave_view()
        self.policy.requeue(state.leave_slots(left))
        self.suspicion.on_entered()
        if state.voting:
            self._lead(max(state.views.reproposed_up_to, state.executed))
        if not (state.is_primary and state.voting):
            self.policy.follow()
        self.view_change.install_reproposed()
        self.policy.forward_waiting()
        for verified in state.future.take(state.views.view):
            self.dispatch(verified)
        self.rejoin.try_regain_vote()

    def _lead(self, highest: int) -> None:
        """Starts to propose above `highest`, if this replica is the primary."""
        if self.state.is_primary:
            self.policy.lead()
            self.proposing.begin(highest)

    def _vote_on_open_slots(self) -> None:
        for slot in list(self.state.log.unexecuted(self.executed)):
            self.ordering.try_prepare(slot)
            self.ordering.try_enter_prepared(slot)

    # --- a step -------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Ends a step: executes decided batches and proposes waiting requests."""
        if self.state.views.ended:
            return
        self.execution.run()
        self.proposing.run()
