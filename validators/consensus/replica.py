"""One validator's PBFT, pure: verified messages and time in, effects out (DESIGN section 3).

`receive` dispatches to the phases; each phase owns its state in its own file and calls the others
directly. Reading order: ordering (the three phases), proposing, execution, checkpoint, clients,
reporting and catch_up (what was lost), suspicion and view_change (a primary that fails), restore.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from validators.consensus import invariants
from validators.consensus import restore as restoring
from validators.consensus import snapshot as snapshots
from validators.consensus.application import Application
from validators.consensus.ballot import Ballot
from validators.consensus.bodies import Bodies
from validators.consensus.catch_up import CatchUp
from validators.consensus.checkpoint import Checkpoints
from validators.consensus.clients import Clients
from validators.consensus.config import Config
from validators.consensus.contradiction import Contradictions
from validators.consensus.dispatch import tables
from validators.consensus.effects import Effects, Now, Reason, StateRecord
from validators.consensus.errors import InvariantBreach
from validators.consensus.evidence import Evidence
from validators.consensus.execution import Execution
from validators.consensus.executor import Executor
from validators.consensus.fetching import Fetching
from validators.consensus.future import Future
from validators.consensus.judgement import Judgement
from validators.consensus.log import Log, Slot
from validators.consensus.messages import (
    STATEMENTS,
    Bundle,
    FetchBatch,
    FetchViewChange,
    Pong,
    SupplyBatch,
    ViewChange,
)
from validators.consensus.needs import Recovery, Signer
from validators.consensus.ordering import Ordering
from validators.consensus.outbox import Outbox
from validators.consensus.own import Own
from validators.consensus.pace import Pace
from validators.consensus.pinging import Pinging
from validators.consensus.pool import Pool
from validators.consensus.proposing import Proposing
from validators.consensus.reporting import Reporting
from validators.consensus.returning import Returning
from validators.consensus.serving import Serving
from validators.consensus.snapshot import ReplicaSnapshot
from validators.consensus.succession import Succession
from validators.consensus.supplying import Supplying
from validators.consensus.suspicion import Suspicion
from validators.consensus.throttle import Throttle
from validators.consensus.transfer import Transfer
from validators.consensus.verified import Header, Verified, VerifiedBundle
from validators.consensus.view_change import Views
from validators.consensus.wishes import Wishes

__all__ = ["Replica"]

SHORT_PAUSE_EVERY = 5_000_000_000
"""Nanoseconds between two gaps under 2 T that count as pauses (R31)."""

DEEP_CHECK_EVERY = 64
"""Steps between two walks over all open slots in `invariants`."""


class Replica:
    """See validators.consensus; it lives for one epoch. `voting` False: follows the log without a vote
    (R11). `inherited`: requests that were under way when the epoch before ended."""

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
        """What phases share."""
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
        self.own = Own(self)
        self.batches = self._fetching(lambda digest: signer.link(FetchBatch(digest)), 4 * config.reach)
        self.view_changes = self._fetching(
            lambda digest: signer.link(FetchViewChange(digest)), config.n * config.q
        )

    def _make_phases(self) -> None:
        """Each owns its state and asks the others."""
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
        self.judgement = Judgement(self)
        self.pace = Pace()
        self.pinging = Pinging(self)
        self.returning = Returning(self)
        self.wishes = Wishes(self)
        self.succession = Succession(self)
        self.supplying = Supplying(self)
        self.contradictions = Contradictions(self)

    # --- the face -----------------------------------------------------------------------------------

    def restore(self, recovery: Recovery, now: Now) -> Effects:
        """Take up where the ledger ends and say again what was said, byte for byte (R7)."""
        self.now = now
        self._last_turn = now.monotonic
        asked = self.voting
        restoring.restore(self, recovery)
        self.succession.restore(recovery)
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
        """Cheap refusal before any signature is checked (R5). Reads only."""
        message = header.message
        kind = type(message)
        refuse = self._refusals.get(kind)
        if refuse is None:
            return Reason.WRONG_KIND
        if header.peer.member is None and kind is not Bundle:
            return Reason.NOT_MEMBER
        body = message.body if kind is SupplyBatch else header.attachment
        if len(body) > self.config.batch_bytes_max:
            return Reason.TOO_LARGE  # no honest replica votes for it, so nobody needs it
        if kind in STATEMENTS:
            reason = self._refuse_sender(message)
            if reason is not None:
                return reason
            if message.sender == self.index and not self._may_have_said(kind):
                return self.own.refuse(message)
        return refuse(message, header.peer.member)

    def wants_within(self, header: Header, kind: type[Any]) -> Reason | None:
        """The same for a loose statement inside a message of `kind`. A Pong shows this replica's own word,
        and only what its ledger lacks matters; who has no vote looks at all of it (R11)."""
        if kind is not Pong:
            return self.wants(header)
        message = header.message
        if message.sender != self.index:
            return Reason.NOT_ASKED
        return self.own.refuse(message) if self.voting else None

    def awaits(self, digest: bytes) -> bool:
        """Whether a batch is asked for: its requests are not checked before that is known (row 15)."""
        return digest in self.batches

    def receive(self, verified: Verified[Any], now: Now) -> Effects:
        """Handle one verified message."""
        self._begin(now)
        self.dispatch(verified)
        self._settle()
        return self.outbox.take()

    def tick(self, now: Now) -> Effects:
        """The deadline passed: look at every clock."""
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
        """Monotonic nanoseconds when `tick` is wanted next, or None: nothing to wait for."""
        if not self._deadline_known:
            due = self._next_deadline()
            # What was due before anybody knew of it is not late: that would raise T (R31).
            self._deadline = due if due is None else max(due, self.now.monotonic)
            self._deadline_known = True
        return self._deadline

    def snapshot(self) -> ReplicaSnapshot:
        """What status pages show; a frozen value."""
        return snapshots.take(self)

    def invariants(self) -> None:
        """Raise InvariantBreach when this replica contradicts itself. Called after each input."""
        self._steps += 1
        invariants.check(self, deep=self._steps % DEEP_CHECK_EVERY == 0)

    # --- what phases ask ----------------------------------------------------------------------------

    @property
    def executed(self) -> int:
        """Last executed sequence."""
        return self._executor.executed

    @property
    def arrived(self) -> bool:
        """Whether the own log reaches into this epoch. One that slept through others takes a state first."""
        if not self._arrived:
            self._arrived = self.executed >= self.config.base
        return self._arrived

    @property
    def receiving(self) -> bool:
        """Whether a state is on its way in."""
        return self.transfer.active

    @property
    def is_primary(self) -> bool:
        """Whether this replica is the primary of its view."""
        return self.views.view % self.n == self.index

    def may_vote(self, view: int) -> bool:
        """Whether an own vote in `view` is allowed now."""
        return self.free and view == self.views.view and not self.views.changing

    @property
    def free(self) -> bool:
        """Whether this replica may bind itself: it votes, it has seen what it said before (R11), and it has
        a state of this epoch."""
        return self.voting and not self.pinging.holding and self.arrived

    def waiting_since(self) -> int | None:
        """Monotonic time since when a request or a proposal waits, or None. Votes alone are no work:
        any backup could send one and depose a correct primary (PITFALLS row 13)."""
        oldest = self.pool.oldest()
        slot = self.log.first_proposed(self.executed)
        if oldest is None:
            return slot.opened if slot is not None else None
        return oldest.arrived if slot is None else min(oldest.arrived, slot.opened)

    def on_free(self) -> None:
        """A quorum has shown what it holds of this replica: votes that waited are given now."""
        for slot in list(self.log.unexecuted(self.executed)):
            self.ordering.consider(slot)
            self.ordering.advance(slot)
        self.views.look()

    def stop_voting(self, reason: str) -> None:
        """Follow from now on, restarts included, and say so (R11)."""
        self.voting = False
        self.voting_reason = reason
        self.pool.follow()
        self.returning.begin()
        self.outbox.persist(StateRecord("voting", b"0"))
        self.outbox.note("follower", reason=reason)

    def vote_again(self) -> None:
        """Nothing that this key may have said can be contradicted any more (R11); restarts included."""
        self.voting = True
        self.voting_reason = ""
        self.outbox.persist(StateRecord("voting", b"1"))
        self.outbox.note("votes_again", sequence=self.log.stable, view=self.views.view)
        if self.is_primary:
            self.pool.lead()
            self.proposing.begin(max(self.log.highest, self.views.start, self.executed))
        self.on_free()

    def breach(self, text: str) -> InvariantBreach:
        """An InvariantBreach that says where."""
        return InvariantBreach(f"member {self.index} view {self.views.view} sequence {self.executed}: {text}")

    def on_stable(self, sequence: int) -> None:
        """A stable checkpoint covers everything up to `sequence` (R24)."""
        self.log.prune(sequence)
        self.bodies.prune(sequence)
        self.ballot.prune(sequence)
        self.batches.prune(sequence)
        self.succession.on_stable(sequence)
        self.suspicion.on_stable()
        self.serving.on_stable(sequence)
        self.views.install_demanded()
        self.returning.look()

    def on_entered(self, left: list[Slot]) -> None:
        """A new view is entered; `left`: the slots of the old one."""
        self.succession.leave_view()
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
        self.returning.look()

    # --- inside -------------------------------------------------------------------------------------

    def _next_deadline(self) -> int | None:
        earliest = None if self.n == 1 else self._last_turn + self.config.timeout_base // 4
        for ask in self._deadlines:
            time = ask()
            if time is not None and (earliest is None or time < earliest):
                earliest = time
        return earliest

    def _begin(self, now: Now) -> None:
        """Start a step. Two turns far apart mean that this process was paused: move all deadlines by
        the gap before looking at them (R31)."""
        gap = now.monotonic - self._last_turn
        if gap > self.config.timeout_base // 2 and self._was_paused(gap, now):
            for phase in (
                self.suspicion,
                self.catch_up,
                self.transfer,
                self.serving,
                self.reporting,
                self.pinging,
                self.wishes,
                self.judgement,
                self.batches,
                self.view_changes,
            ):
                phase.shift(gap)
            self.pace.shift()
            if self.n > 1:
                self.outbox.note("paused", nanoseconds=gap)
        self._last_turn = now.monotonic
        self._deadline_known = False
        self.now = now

    def _was_paused(self, gap: int, now: Now) -> bool:
        """A long gap is a pause; short ones one after another are a slow machine (or a liar that keeps it
        busy), and must not put off every suspicion for ever."""
        short = gap <= 2 * self.config.timeout_base
        if short and now.monotonic - self._paused_at < SHORT_PAUSE_EVERY:
            return False
        self._paused_at = now.monotonic
        return True

    def _settle(self) -> None:
        """End a step: execute what is decided, propose what waits."""
        if self.transfer.done or self.contradictions.found:
            return  # the host replaces all this at the end of the turn
        self.execution.run()
        self.proposing.run()

    def dispatch(self, verified: Verified[Any]) -> None:
        """Hand a verified message to its phase."""
        if self.transfer.done or self.succession.over or self.contradictions.found:
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
                self.own.on_own(verified)
                return
        if handler is None or reason is not None:
            self.outbox.refused(reason or Reason.WRONG_KIND, verified)
            return
        handler(verified)

    def _may_have_said(self, kind: type[Any]) -> bool:
        """Whether an own statement is taken as any member's: without a vote a VIEW-CHANGE is, or this
        replica could never enter a view that rests on the word it forgot (R11)."""
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
