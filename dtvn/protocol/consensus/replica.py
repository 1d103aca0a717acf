"""The PBFT core of one validator, without I/O: verified messages and time in, effects out (DESIGN section 3).

`receive` dispatches to the phases; each phase owns its state in its own file and calls the others
directly. Reading order: ordering (the three phases), proposing, execution, checkpoint, clients,
reporting and catch_up (lost messages), suspicion and view_change (a primary that fails), restore.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dtvn.protocol.consensus import invariants
from dtvn.protocol.consensus import restore as restoring
from dtvn.protocol.consensus import snapshot as snapshots
from dtvn.protocol.consensus.application import Application
from dtvn.protocol.consensus.ballot import Ballot
from dtvn.protocol.consensus.bodies import Bodies
from dtvn.protocol.consensus.catch_up import CatchUp
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.clients import Clients
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.contradiction import Contradictions
from dtvn.protocol.consensus.dispatch import tables
from dtvn.protocol.consensus.effects import Effects, Now, Reason, StateRecord
from dtvn.protocol.consensus.epoch_change import EpochChange
from dtvn.protocol.consensus.errors import InvariantBreach
from dtvn.protocol.consensus.evidence import Evidence
from dtvn.protocol.consensus.execution import Execution
from dtvn.protocol.consensus.executor import Executor
from dtvn.protocol.consensus.fetching import Fetching
from dtvn.protocol.consensus.future import Future
from dtvn.protocol.consensus.log import Log, Slot
from dtvn.protocol.consensus.messages import (
    STATEMENTS,
    Bundle,
    FetchBatch,
    FetchViewChange,
    Pong,
    SupplyBatch,
    ViewChange,
)
from dtvn.protocol.consensus.needs import Recovery, Signer
from dtvn.protocol.consensus.ordering import Ordering
from dtvn.protocol.consensus.outbox import Outbox
from dtvn.protocol.consensus.pinging import Pinging
from dtvn.protocol.consensus.pool import Pool
from dtvn.protocol.consensus.primary_monitor import PrimaryMonitor
from dtvn.protocol.consensus.proposing import Proposing
from dtvn.protocol.consensus.rejoin import Rejoin
from dtvn.protocol.consensus.rejoin_views import RejoinViews
from dtvn.protocol.consensus.reporting import Reporting
from dtvn.protocol.consensus.self_messages import SelfMessageGuard
from dtvn.protocol.consensus.serving import Serving
from dtvn.protocol.consensus.snapshot import ReplicaSnapshot
from dtvn.protocol.consensus.supplying import Supplying
from dtvn.protocol.consensus.suspicion import Suspicion
from dtvn.protocol.consensus.throttle import Throttle
from dtvn.protocol.consensus.throughput import Throughput
from dtvn.protocol.consensus.transfer import Transfer
from dtvn.protocol.consensus.verified import Header, Verified, VerifiedBundle
from dtvn.protocol.consensus.view_change import Views

__all__ = ["Replica"]

SHORT_PAUSE_EVERY = 5_000_000_000
"""Minimum nanoseconds between two gaps under 2 T that count as pauses (R31)."""

DEEP_CHECK_EVERY = 64
"""Steps between two checks of all open slots in `invariants`."""


class Replica:
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
        if config.index is None:
            raise ValueError("a replica is a member; a learner has no index")
        self.config = config
        self.index = config.index
        self.n = config.n
        self.q = config.q
        self.others = [(config.index + k) % config.n for k in range(1, config.n)]
        self.signer = signer
        self.application = application
        self.voting = voting
        self.voting_reason = "" if voting else "started without a vote"
        self.now = Now(0, 0)
        self.outbox = Outbox(alone=config.n == 1)
        self._inherited = inherited
        self._last_turn = 0
        self._paused_at = -SHORT_PAUSE_EVERY
        self._steps = 0
        self._arrived = False
        self._deadline: int | None = None
        self._deadline_known = False
        self._make_tables()
        self._make_phases()
        self._handlers, self._refusals = tables(self)
        self._deadlines = (
            self.proposing.ready_at,
            self.batches.deadline,
            self.view_changes.deadline,
            self.catch_up.deadline,
            self.transfer.deadline,
            self.serving.deadline,
            self.suspicion.deadline,
            self.pinging.deadline,
            self.reporting.deadline,
        )

    def _make_tables(self) -> None:
        """Creates the tables that phases share."""
        config = self.config
        signer = self.signer
        self.log = Log(window=config.window, reach=config.reach)
        self.bodies = Bodies(config.bodies_bytes_max)
        self.ballot = Ballot()
        self.pool = Pool(
            operations_max=config.pool_operations_max,
            bytes_max=config.pool_bytes_max,
            client_share=config.pool_client_share,
            batch_operations_max=config.batch_operations_max,
        )
        self.future = Future(
            members=config.n,
            frames_max=config.future_frames_max,
            bytes_max=config.future_bytes_max,
        )
        self.throttle = Throttle(self, config.resend_after)
        self.evidence = Evidence(self)
        self.self_messages = SelfMessageGuard(self)
        self.batches = self._fetching(lambda digest: signer.link(FetchBatch(digest)), 4 * config.reach)
        self.view_changes = self._fetching(
            lambda digest: signer.link(FetchViewChange(digest)), config.n * config.q
        )

    def _make_phases(self) -> None:
        """Creates the phases. Each owns its state and calls the others."""
        self.views = Views(self)
        self.ordering = Ordering(self)
        self.proposing = Proposing(self)
        self._executor = Executor(self.config.epoch, self.application)
        self.execution = Execution(self, self._executor)
        self.checkpoints = Checkpoints(self)
        self.clients = Clients(self)
        self.catch_up = CatchUp(self)
        self.transfer = Transfer(self)
        self.serving = Serving(self)
        self.reporting = Reporting(self)
        self.suspicion = Suspicion(self)
        self.primary_monitor = PrimaryMonitor(self)
        self.throughput = Throughput()
        self.pinging = Pinging(self)
        self.rejoin = Rejoin(self)
        self.rejoin_views = RejoinViews(self)
        self.epoch_change = EpochChange(self)
        self.supplying = Supplying(self)
        self.contradictions = Contradictions(self)

    # --- the face -----------------------------------------------------------------------------------

    def restore(self, recovery: Recovery, now: Now) -> Effects:
        """Resumes where the ledger ends and sends the own statements again, byte for byte (R7)."""
        self.now = now
        self._last_turn = now.monotonic
        asked = self.voting
        restoring.restore(self, recovery)
        self.epoch_change.restore(recovery)
        self.transfer.restore(recovery)
        self.serving.restore(recovery)
        if not self.voting:
            self.stop_voting(self.voting_reason or ("its ledger says so" if asked else "no vote"))
        self.pinging.begin(recovery)
        highest = max(self.log.highest, self.views.start, self.executed)
        self.suspicion.begin()
        self.views.install_demanded()
        if self.is_primary and self.views.is_active(self.views.view):
            self.pool.lead()
            self.proposing.begin(highest)
        restoring.say_again(self)
        for slot in list(self.log.unexecuted(self.executed)):
            self.ordering.consider(slot)
            self.ordering.advance(slot)
        self.clients.requeue(list(self._inherited))
        self._settle()
        if self.n > 1:
            self.reporting.say()
        self.contradictions.restore(recovery.states)
        return self.outbox.take()

    def wants(self, header: Header) -> Reason | None:
        """Returns why to refuse a message before any signature is checked, or None (R5). Changes no state."""
        message = header.message
        kind = type(message)
        refuse = self._refusals.get(kind)
        if refuse is None:
            return Reason.WRONG_KIND
        if header.peer.member is None and kind is not Bundle:
            return Reason.NOT_MEMBER
        body = message.body if kind is SupplyBatch else header.attachment
        if len(body) > self.config.batch_bytes_max:
            return Reason.TOO_LARGE  # no honest replica votes for it, so no member needs it
        if kind in STATEMENTS:
            reason = self._refuse_sender(message)
            if reason is not None:
                return reason
            if message.sender == self.index and not self._may_have_said(kind):
                return self.self_messages.refuse(message)
        return refuse(message, header.peer.member)

    def wants_within(self, header: Header, kind: type[Any]) -> Reason | None:
        """As `wants`, for a statement inside a message of `kind`. A Pong shows this replica's own statements:
        a voting replica wants only those that its ledger lacks, a follower wants all of them (R11)."""
        if kind is not Pong:
            return self.wants(header)
        message = header.message
        if message.sender != self.index:
            return Reason.NOT_ASKED
        return self.self_messages.refuse(message) if self.voting else None

    def awaits(self, digest: bytes) -> bool:
        """Whether this replica asked for a batch; if not, its requests are not checked (PITFALLS row 15)."""
        return digest in self.batches

    def receive(self, verified: Verified[Any], now: Now) -> Effects:
        """Handles one verified message."""
        self._begin(now)
        self.dispatch(verified)
        self._settle()
        return self.outbox.take()

    def tick(self, now: Now) -> Effects:
        """Handles everything that is due, after the deadline has passed."""
        due = self._deadline
        if due is not None and self._deadline_known and now.monotonic <= due + self.config.timeout_base // 2:
            self.suspicion.on_late(max(0, now.monotonic - due))
        self._begin(now)
        self.batches.tick()
        self.view_changes.tick()
        self.catch_up.tick()
        self.transfer.tick()
        self.serving.tick()
        self.suspicion.tick()
        self.pinging.tick()
        self.reporting.tick()
        self._settle()
        return self.outbox.take()

    def deadline(self) -> int | None:
        """Monotonic nanoseconds when `tick` must be called next; None if nothing is scheduled."""
        if not self._deadline_known:
            due = self._next_deadline()
            # A deadline set in the past is not a late tick, which would raise T (R31).
            self._deadline = due if due is None else max(due, self.now.monotonic)
            self._deadline_known = True
        return self._deadline

    def snapshot(self) -> ReplicaSnapshot:
        """A frozen value for status pages."""
        return snapshots.take(self)

    def invariants(self) -> None:
        """Raises InvariantBreach if this replica contradicts itself. Called after each input."""
        self._steps += 1
        invariants.check(self, deep=self._steps % DEEP_CHECK_EVERY == 0)

    # --- what phases ask ----------------------------------------------------------------------------

    @property
    def executed(self) -> int:
        """The last executed sequence."""
        return self._executor.executed

    @property
    def arrived(self) -> bool:
        """Whether the own log reaches into this epoch. A replica that missed epochs first fetches a state."""
        if not self._arrived:
            self._arrived = self.executed >= self.config.base
        return self._arrived

    @property
    def receiving(self) -> bool:
        """Whether a state transfer to this replica is running."""
        return self.transfer.active

    @property
    def is_primary(self) -> bool:
        """Whether this replica is the primary of its view."""
        return self.views.view % self.n == self.index

    def may_vote(self, view: int) -> bool:
        """Whether this replica may vote in `view` now."""
        return self.free and view == self.views.view and not self.views.changing

    @property
    def free(self) -> bool:
        """Whether this replica may bind itself: it votes, the members have shown it its earlier statements
        (R11), and it has a state of this epoch."""
        return self.voting and not self.pinging.holding and self.arrived

    def waiting_since(self) -> int | None:
        """Monotonic time since when a request or a proposal waits, or None. Votes without a proposal do not
        count: any backup could send one and depose a correct primary (PITFALLS row 13)."""
        oldest = self.pool.oldest()
        slot = self.log.first_proposed(self.executed)
        if oldest is None:
            return slot.opened if slot is not None else None
        return oldest.arrived if slot is None else min(oldest.arrived, slot.opened)

    def on_free(self) -> None:
        """Casts the votes that waited until enough members had shown this replica's statements."""
        for slot in list(self.log.unexecuted(self.executed)):
            self.ordering.consider(slot)
            self.ordering.advance(slot)
        self.views.look()

    def stop_voting(self, reason: str) -> None:
        """Makes this replica a follower, across restarts too, and notes the reason (R11)."""
        self.voting = False
        self.voting_reason = reason
        self.pool.follow()
        self.rejoin.begin()
        self.outbox.persist(StateRecord("voting", b"0"))
        self.outbox.note("follower", reason=reason)

    def vote_again(self) -> None:
        """Makes this replica vote again, across restarts too: no vote can contradict an earlier statement
        under its key any more (R11)."""
        self.voting = True
        self.voting_reason = ""
        self.outbox.persist(StateRecord("voting", b"1"))
        self.outbox.note("votes_again", sequence=self.log.stable, view=self.views.view)
        if self.is_primary:
            self.pool.lead()
            self.proposing.begin(max(self.log.highest, self.views.start, self.executed))
        self.on_free()

    def breach(self, text: str) -> InvariantBreach:
        """An InvariantBreach that names the member, view and sequence."""
        return InvariantBreach(f"member {self.index} view {self.views.view} sequence {self.executed}: {text}")

    def on_stable(self, sequence: int) -> None:
        """Prunes all phases: a stable checkpoint covers everything up to `sequence` (R24)."""
        self.log.prune(sequence)
        self.bodies.prune(sequence)
        self.ballot.prune(sequence)
        self.batches.prune(sequence)
        self.epoch_change.on_stable(sequence)
        self.suspicion.on_stable()
        self.serving.on_stable(sequence)
        self.views.install_demanded()
        self.rejoin.look()

    def on_entered(self, left: list[Slot]) -> None:
        """Updates all phases for the view just entered. `left`: the slots of the old view."""
        self.epoch_change.leave_view()
        demanded = {digest for digest, _frame in self.views.demanded.values()}
        decided = {certificate.digest for certificate in self.log.decisions.values()}
        self.batches.keep_only(demanded | decided)
        bundles: list[VerifiedBundle] = []
        for slot in left:
            for digest in slot.proposals:
                batch = self.bodies.get(digest)
                if batch is not None and digest not in demanded and slot.sequence > self.executed:
                    bundles += batch.bundles
        certified = {certificate.digest for certificate in self.log.certificates.values()}
        needed = demanded | decided | certified | set(self.log.digests.values())
        self.bodies.leave_view(needed, self.ballot.digests("prepare"))
        self.clients.requeue(bundles)
        self.suspicion.on_entered()
        if self.is_primary and self.voting:
            self.pool.lead()
            self.proposing.begin(max(self.views.start, self.executed))
        else:
            self.pool.follow()
        self.views.install_demanded()
        self.clients.forward_waiting(0)
        for verified in self.future.take(self.views.view):
            self.dispatch(verified)
        self.rejoin.look()

    # --- inside -------------------------------------------------------------------------------------

    def _next_deadline(self) -> int | None:
        earliest = None if self.n == 1 else self._last_turn + self.config.timeout_base // 4
        for ask in self._deadlines:
            time = ask()
            if time is not None and (earliest is None or time < earliest):
                earliest = time
        return earliest

    def _begin(self, now: Now) -> None:
        """Starts a step. A long gap since the last step means that this process was paused: then all
        deadlines move by the gap before they are compared with the time (R31)."""
        gap = now.monotonic - self._last_turn
        if gap > self.config.timeout_base // 2 and self._was_paused(gap, now):
            for phase in (
                self.suspicion,
                self.catch_up,
                self.transfer,
                self.serving,
                self.reporting,
                self.pinging,
                self.rejoin_views,
                self.primary_monitor,
                self.batches,
                self.view_changes,
            ):
                phase.shift(gap)
            self.throughput.shift()
            if self.n > 1:
                self.outbox.note("paused", nanoseconds=gap)
        self._last_turn = now.monotonic
        self._deadline_known = False
        self.now = now

    def _was_paused(self, gap: int, now: Now) -> bool:
        """Whether a gap between two steps is a pause. A long one always is. Repeated short ones come from a
        slow machine (or a liar that keeps it busy) and must not delay every suspicion for ever."""
        short = gap <= 2 * self.config.timeout_base
        if short and now.monotonic - self._paused_at < SHORT_PAUSE_EVERY:
            return False
        self._paused_at = now.monotonic
        return True

    def _settle(self) -> None:
        """Ends a step: executes decided batches and proposes waiting requests."""
        if self.transfer.done or self.contradictions.found:
            return  # the host replaces or stops this core at the end of the turn
        self.execution.run()
        self.proposing.run()

    def dispatch(self, verified: Verified[Any]) -> None:
        """Hands a verified message to its phase."""
        if self.transfer.done or self.epoch_change.over or self.contradictions.found:
            return
        message = verified.message
        kind = type(message)
        handler = self._handlers.get(kind)
        reason: Reason | None = None
        if handler is None:
            reason = Reason.WRONG_KIND
        elif kind in STATEMENTS:
            reason = self._refuse_sender(message)
            if reason is None and message.sender == self.index and not self._may_have_said(kind):
                self.self_messages.on_own(verified)
                return
        if handler is None or reason is not None:
            self.outbox.refused(reason or Reason.WRONG_KIND, verified)
            return
        handler(verified)

    def _may_have_said(self, kind: type[Any]) -> bool:
        """Whether a received statement under the own key is handled as any member's. A follower handles its
        own VIEW-CHANGEs so, or it could never enter a view whose NEW-VIEW names one that it forgot (R11)."""
        return not self.voting and kind is ViewChange

    def _refuse_sender(self, message: Any) -> Reason | None:
        if message.epoch != self.config.epoch:
            return Reason.WRONG_EPOCH
        return None if 0 <= message.sender < self.n else Reason.UNKNOWN_SENDER

    def _fetching(self, make: Callable[[bytes], bytes], wishes_max: int) -> Fetching:
        config = self.config
        return Fetching(
            self, make, wishes_max=wishes_max, delay=config.fetch_delay, retry=config.resend_after
        )
