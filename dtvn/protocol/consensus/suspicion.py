"""Is the primary doing its work? (R29, R30, R31; P13 and P14)

A replica with a cause of its own sends SUSPECT, again every heartbeat while the cause lasts, and goes
on voting. `suspicion_quorum(n)` suspecting members make other replicas send it too; q of them make a replica
leave the view, and only leaving is binding. A VIEW-CHANGE counts as its sender's lasting suspicion. f liars
reach neither number.

A SUSPECT has no date, so an old one could be replayed. It counts in full only on its sender's own link. One
that another member relays (links between two members may be down) counts only towards leaving, and only for
a replica that has a cause of its own.

Causes: the primary is silent, waiting work does not progress, q members say that the primary holds time back
(`clocks`), a NEW-VIEW is wrong, a member needs another view to vote again (`rejoin_views`), the primary said
that it stops, or, during a view change to which q members are bound, the NEW-VIEW does not arrive.
"""

from __future__ import annotations

from dtvn.protocol import quorum
from dtvn.protocol.consensus.adapted_timeout import AdaptedTimeout
from dtvn.protocol.consensus.causes import (
    AMPLIFIED,
    BAD_NEW_VIEW,
    HOLDS_TIME,
    NO_NEW_VIEW,
    NO_PROGRESS,
    RETURNING,
    SILENT,
    SLOW,
    STOPPING,
    UNFAIR,
)
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import SupplyFrames, Suspect
from dtvn.protocol.consensus.rejoin_views import RejoinViews
from dtvn.protocol.consensus.request_key import Key
from dtvn.protocol.consensus.requests.policy import Policy
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.consensus.view_change import FOLLOWED, ViewChanging

REASON_LENGTH_MAX = 64
CALM = 10_000_000_000
"""Nanoseconds after which earlier failed view changes no longer count, in a view with a live primary and no
waiting work: an idle cluster has no stable checkpoint that would reset them (0164)."""
LIFETIME_HEARTBEATS = 5
"""Heartbeats after which a SUSPECT that is not repeated expires: four may be lost in a row."""


class Suspicion:
    """Owns the suspicions of this view and all deadlines that concern its primary."""

    def __init__(
        self,
        state: State,
        policy: Policy,
        rejoin_views: RejoinViews,
        view_change: ViewChanging,
    ) -> None:
        self.state = state
        self.policy = policy
        self.rejoin_views = rejoin_views
        self.view_change = view_change
        self.cause: str | None = None
        """Why this replica suspects the view, or None."""
        self.suspects: dict[int, tuple[int, int]] = {}
        """Member -> (view it would move to, monotonic time received), from its own link."""
        self._reasons: dict[int, str] = {}
        """Suspecting member -> the reason in its SUSPECT."""
        self._frames: dict[int, bytes] = {}
        """Suspecting member -> its newest SUSPECT, to be relayed."""
        self._relayed: dict[int, tuple[int, int]] = {}
        """As `suspects`, for SUSPECTs that another member relayed."""
        self._key: Key | None = None
        """Key of the waiting request that caused the suspicion, which expires once the request leaves the
        pool (R29); or None."""
        self._mark = 0
        """`executed` when the cause arose."""
        self.primary_heard = 0
        """Monotonic time when the view's primary was last heard."""
        self._met = False
        """Whether this process has heard the view's primary, or has entered or left a view."""
        self._progressed = 0
        """Monotonic time of the last execution, or of the start of the view."""
        self._waits_from = 0
        """Earliest time from which waiting work counts as waiting; a pause moves it (R31)."""
        self._tick_missed: int | None = None
        """Monotonic time since when the primary should have ordered a tick (see `proposing`); None if it need
        not."""
        self._bad_new_view = -1
        """The last view whose NEW-VIEW was wrong, or -1."""
        self._quorum_bound_at: int | None = None
        """Monotonic time when q members were bound to the view being entered, which starts the NEW-VIEW timer
        (P13); or None."""
        self._say_again = 0
        """Monotonic time when the own SUSPECT is sent again."""
        self._adapted = AdaptedTimeout()

    # --- events -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Starts all clocks now, at the start of the replica or of a view."""
        now = self.state.now.monotonic
        self.primary_heard = self._progressed = now
        self.policy.on_entered()
        self._clear()

    def on_primary_heard(self) -> None:
        """A proposal or heartbeat of the current view came directly from its primary."""
        self.primary_heard = self.state.now.monotonic
        self._met = True

    def on_executed(self, *, requests: bool) -> None:
        """A sequence was executed; `requests`: whether its batch held any. While a request waits, batches
        without requests are no progress (R30): a primary could order only these."""
        if requests or self.policy.oldest_wait() is None:
            self._progressed = self.state.now.monotonic

    def on_stable(self) -> None:
        """A checkpoint is stable, so the view works: resets the failures (R31)."""
        self.state.timeouts.failures = 0

    def on_quorum_returned(self) -> None:
        """A quorum of members is reachable again: resets the failures, so that it does not wait for a doubled
        T (R31). A single member that comes and goes beside a quorum resets nothing: it may be a liar
        (P13)."""
        self.state.timeouts.failures = 0

    def on_left(self, left_view: int, *, had_entered: bool) -> None:
        """This replica sent a VIEW-CHANGE and left `left_view`. `had_entered`: it had entered that view, not
        only been bound to it."""
        self._met = True
        reasons = {
            self.cause,
            *(self._reasons.get(member) for member in self._alive(self.suspects, left_view)),
        }
        self.policy.on_left(slow=SLOW in reasons)
        self.state.timeouts.failures = (
            self.state.timeouts.failures + 1
            if self._failed(left_view, had_entered)
            else max(1, self.state.timeouts.failures)
        )
        self._quorum_bound_at = None
        self.rejoin_views.on_moved()
        self._clear()

    def _failed(self, left_view: int, had_entered: bool) -> bool:
        """Whether leaving `left_view` counts as one more failed view change (R31). It does not if only other
        members suspected the view, if it was left so that a member may vote again, or if its primary said
        that it has no vote: otherwise liars could raise the count."""
        if not had_entered:
            return not self.rejoin_views.waits(quorum.primary(left_view, self.state.n))
        return self.cause not in (None, AMPLIFIED, RETURNING, STOPPING)

    def on_entered(self) -> None:
        """This replica entered a view."""
        self._met = True
        self._quorum_bound_at = None
        self.rejoin_views.on_moved()
        self.begin()

    def on_bad_new_view(self, view: int) -> None:
        """The primary of `view` sent a NEW-VIEW that does not follow from its VIEW-CHANGEs. If `view` is the
        one being entered, waiting for it ends; a wrong NEW-VIEW of a later view has no effect."""
        self._bad_new_view = view
        self.evaluate()

    def on_view_change(self) -> None:
        """A VIEW-CHANGE was counted: starts the NEW-VIEW timer at q of them, joins a view at f + 1."""
        state = self.state
        views = state.views
        bound = views.changing and self.view_change.supporters(views.view) >= state.q
        if bound and self._quorum_bound_at is None:
            self._quorum_bound_at = state.now.monotonic
        joined = self.view_change.joined_view()
        if joined is not None and state.may_sign_votes:
            self.view_change.leave(joined, FOLLOWED)
        else:
            self.evaluate()

    def refuse_suspect(self, message: Suspect, _member: int | None) -> Reason | None:
        """Returns why to refuse a SUSPECT before its signature is checked, or None (R5)."""
        return Reason.OLD_VIEW if message.view <= self.state.views.view else None

    def on_suspect(self, verified: Verified[Suspect]) -> None:
        """Records the SUSPECT of a member, which would move to a higher view."""
        message = verified.message
        state = self.state
        if (reason := self.refuse_suspect(message, verified.peer.member)) is not None:
            state.outbox.refused(reason, verified)
            return
        if verified.peer.member != message.sender:
            if message.reason == RETURNING:
                return  # members that need a view tell all others: a liar may replay an old SUSPECT
            self._relayed[message.sender] = (message.view, state.now.monotonic)
            self.evaluate()
            return
        if message.sender not in self.suspects:
            text = message.reason[:REASON_LENGTH_MAX]
            state.outbox.note("suspect_heard", sender=message.sender, view=message.view, reason=text)
        self.suspects[message.sender] = (message.view, state.now.monotonic)
        self._reasons[message.sender] = message.reason[:REASON_LENGTH_MAX]
        self._frames[message.sender] = verified.frame
        self.evaluate()

    def heard_for(self, view: int) -> tuple[bytes, ...]:
        """The SUSPECT frames for `view` or a higher one, to be relayed to members whose links are down."""
        return tuple(
            self._frames[member]
            for member, (wanted, _heard) in self.suspects.items()
            if wanted >= view and member in self._frames
        )

    # --- decisions ----------------------------------------------------------------------------------

    def evaluate(self) -> None:
        """Suspects the view, stops suspecting it, or leaves it, depending on its causes and the SUSPECTs."""
        state = self.state
        if state.n == 1 or not state.may_sign_votes:
            return
        others = self._others()
        first_hand = self._first_hand(others)
        if self.cause is not None and self._expired(first_hand):
            state.outbox.note("suspicion_expired", view=state.views.view, reason=self.cause)
            self._clear()
        if self.cause in (None, AMPLIFIED):
            cause = self._own_cause()
            if (
                cause is None
                and self.cause is None
                and first_hand >= quorum.suspicion_quorum(state.n, state.config.mode)
            ):
                cause = AMPLIFIED
            if cause is not None:
                self._suspect(cause)
        if self.cause is None:
            return
        if self.cause != AMPLIFIED:
            others = {**self._alive(self._relayed), **others}
        views = sorted([*others.values(), state.views.view + 1], reverse=True)
        if len(views) >= state.q:
            self.view_change.leave(views[state.q - 1], self.cause)

    def suspecting(self) -> tuple[int, ...]:
        """Members that would leave the current view, this one included."""
        members = set(self._others())
        if self.cause is not None:
            members.add(self.state.index)
        return tuple(sorted(members))

    def _others(self) -> dict[int, int]:
        """Other members that would move, or are bound, to a view above this replica's -> that view."""
        state = self.state
        view = state.views.view
        found = self._alive(self.suspects)
        for member, change in state.views.view_changes.items():
            if change.view > view and member != state.index:
                found[member] = max(change.view, found.get(member, 0))
        return found

    def _first_hand(self, others: dict[int, int]) -> int:
        """Number of `others` that are bound to a higher view or suspect on a cause of their own. Members
        that only joined do not count, since they must not keep an expired suspicion alive. Nor do those whose
        cause is a member's requested view, which each replica must receive itself: a liar could send one to a
        single honest member and withdraw it before the others know (0164)."""
        changes = self.state.views.view_changes
        view = self.state.views.view
        return sum(
            self._reasons.get(member) not in (AMPLIFIED, RETURNING)
            or (member in changes and changes[member].view > view)
            for member in others
        )

    def _alive(self, table: dict[int, tuple[int, int]], view: int | None = None) -> dict[int, int]:
        """Suspicions of `view` (default: the current one) that have not expired: member -> view wanted."""
        state = self.state
        view = state.views.view if view is None else view
        since = state.now.monotonic - LIFETIME_HEARTBEATS * state.config.heartbeat
        return {
            member: wanted for member, (wanted, heard) in table.items() if wanted > view and heard >= since
        }

    def _own_cause(self) -> str | None:
        state = self.state
        now = state.now.monotonic
        views = state.views
        if views.changing:
            if self._bad_new_view == views.view:
                return BAD_NEW_VIEW
            due = self.new_view_due(self.state.timeouts.timeout)
            vain = due is not None and (now >= due or self.rejoin_views.waits(views.primary))
            return NO_NEW_VIEW if vain else None
        if self._primary_stops():
            return STOPPING
        if state.is_catching_up:
            return None
        if not state.is_primary and now >= self._silent_due(self.state.timeouts.timeout):
            return SILENT
        due = self.progress_due(self.state.timeouts.timeout)
        if due is not None and now >= due:
            return NO_PROGRESS
        if state.clocks.holds_back(views.view):
            return HOLDS_TIME
        return self.policy.primary_fault() or self.rejoin_views.cause(views.view)

    def _expired(self, first_hand: int) -> bool:
        state = self.state
        if self.cause == AMPLIFIED:
            return first_hand < quorum.suspicion_quorum(state.n, state.config.mode)
        if self.cause == SILENT:
            return state.now.monotonic < self._silent_due(self.state.timeouts.timeout)
        if self.cause == NO_PROGRESS:
            if self._key is not None:
                return not self.policy.waits(self._key)
            return state.executed > self._mark
        if self.cause == HOLDS_TIME:
            return not state.clocks.holds_back(state.views.view)
        if self.cause in (UNFAIR, SLOW):
            return self.policy.primary_fault() is None
        if self.cause == RETURNING:
            return self.rejoin_views.cause(state.views.view) is None
        if self.cause == STOPPING:
            return not (state.is_primary or self._primary_stops())
        return False

    def _primary_stops(self) -> bool:
        """Whether the primary itself said lately, on its own link, that it leaves its view to stop."""
        views = self.state.views
        return self._reasons.get(views.primary) == STOPPING and views.primary in self._alive(self.suspects)

    def resign(self) -> None:
        """This replica stops on purpose: if it is the primary, it says so, and that is a cause for all."""
        state = self.state
        if state.n > 1 and state.is_primary and state.may_vote(state.views.view):
            self._suspect(STOPPING)
            self.evaluate()

    def _suspect(self, cause: str) -> None:
        state = self.state
        self.cause = cause
        self._key = self.policy.oldest_key()
        self._mark = state.executed
        if cause == RETURNING:
            self.rejoin_views.on_cause(state.views.view)
        state.outbox.note("suspected", view=state.views.view, reason=cause)
        self._say()

    def _say(self) -> None:
        state = self.state
        message = Suspect(state.config.epoch, state.index, state.views.view + 1, self.cause or "")
        state.outbox.broadcast(state.signer.sign(message))
        relay = tuple(self._frames[member] for member in self._alive(self.suspects))
        if relay:
            state.outbox.broadcast(state.signer.link(SupplyFrames(relay)))
        self._say_again = state.now.monotonic + state.config.heartbeat

    def _clear(self) -> None:
        self.cause = None
        self._key = None

    # --- time ---------------------------------------------------------------------------------------

    def on_round_trip(self, nanoseconds: int) -> None:
        """Records the time within which a quorum answers (pinging; R31)."""
        self._adapted.on_round_trip(nanoseconds)
        self._adapt()

    def on_late(self, nanoseconds: int) -> None:
        """Records by how much a tick was late, because turns take that long or the processor is shared."""
        if self._adapted.on_late(nanoseconds, self.state.timeouts.base):
            self._adapt()

    def _adapt(self) -> None:
        self.state.timeouts.base = self._adapted.base(self.state.config)

    def new_view_due(self, timeout: int) -> int | None:
        """When a missing NEW-VIEW becomes a cause; None while too few members are bound to the view.
        `timeout`: T."""
        return None if self._quorum_bound_at is None else self._quorum_bound_at + timeout

    def _silent_due(self, timeout: int) -> int:
        """When the primary's silence becomes a cause. A replica that just started waits longer for the first
        message: members that start together are not ready together, and waiting work has its own clock."""
        return self.primary_heard + (
            timeout if self._met else max(timeout, self.state.config.first_message_timeout)
        )

    def _note_tick(self) -> None:
        """Notes whether a tick is missing, by the time that a primary may propose: no wrong clock moves a
        view (R3). Its time may be behind that by the drift bound."""
        state = self.state
        due = state.application.due()
        time = None if due is None else state.clocks.time()
        if due is None or time is None or time < due + state.config.drift_bound:
            self._tick_missed = None
        elif self._tick_missed is None:
            self._tick_missed = state.now.monotonic

    def _waiting_since(self) -> int | None:
        """Monotonic time since when a request, a proposal or a due tick waits, or None. Votes without a
        proposal do not count: any backup could send one and depose a correct primary (P13)."""
        arrived = self.policy.oldest_wait()
        if arrived is None:
            arrived = self._tick_missed
        slot = self.state.log.first_proposed(self.state.executed)
        if slot is None:
            return arrived
        return slot.opened if arrived is None else min(arrived, slot.opened)

    def progress_due(self, timeout: int) -> int | None:
        """When waiting work without progress becomes a cause; None if no work waits or the window is full.
        `timeout`: T."""
        state = self.state
        if state.executed >= state.log.stable + state.log.window:
            return None  # the window is full: no primary could proceed (P6)
        since = self._waiting_since()
        due = None if since is None else max(since, self._waits_from, self._progressed) + timeout
        withheld = self._withheld_since()
        if withheld is None:
            return due
        return withheld + timeout if due is None else min(due, withheld + timeout)

    def _withheld_since(self) -> int | None:
        """Monotonic time since when this replica withholds its PREPARE from the next proposal for its time,
        or None. What a quorum withholds is never decided in this view. On an overloaded machine each turn
        looks like a pause, which moves all other clocks: the view would last for ever."""
        slot = self.state.log.slots.get(self.state.executed + 1)
        withheld = slot is not None and slot.abstain_reason is Reason.BAD_TIMESTAMP
        return slot.withheld_at if slot is not None and withheld else None

    def tick(self) -> None:
        """Handles the deadlines that may have passed."""
        state = self.state
        self._note_tick()
        calm = self.cause is None and not state.views.changing and self._waiting_since() is None
        if calm and state.now.monotonic >= self._progressed + CALM:
            self.state.timeouts.failures = 0
        self.policy.tick()
        self.evaluate()
        if self.cause is not None and state.now.monotonic >= self._say_again:
            self._say()

    def deadline(self) -> int | None:
        """Monotonic time when `tick` is needed next, or None."""
        state = self.state
        if state.n == 1 or not state.may_sign_votes:
            return None
        if self.cause is not None:
            return self._say_again
        if state.views.changing:
            return self.new_view_due(self.state.timeouts.timeout)
        timeout = self.state.timeouts.timeout
        earliest = None if state.is_primary else self._silent_due(timeout)
        due = self.progress_due(timeout)
        if due is not None:
            half = due - timeout // 2
            due = due if state.now.monotonic >= half else half
            earliest = due if earliest is None else min(earliest, due)
        if earliest is not None and state.is_catching_up:
            return max(earliest, state.lag.held_until)
        return earliest

    def shift(self, gap: int) -> None:
        """Moves all times by a pause of this process: silence during the pause does not count (R31)."""
        self.primary_heard += gap
        self._progressed += gap
        since = self._waiting_since()
        if since is not None:
            self._waits_from = max(since, self._waits_from) + gap
        if self._quorum_bound_at is not None:
            self._quorum_bound_at += gap
        for table in (self.suspects, self._relayed):
            for member, (view, heard) in table.items():
                table[member] = (view, heard + gap)
