"""Phase: is the primary doing its work? (R29, R30, R31; PITFALLS rows 13 and 14)

A replica with a ground of its own says SUSPECT, again every heartbeat while the ground lasts, and goes
on voting. `join(n)` suspects make others say it too; q of them make a replica leave the view, and only
that binds. A VIEW-CHANGE counts as its sender's lasting suspicion. f liars reach neither number.

A SUSPECT has no date: an old one could be shown again. So it counts in full only on its sender's own
link; relayed by another (links between two members may be down) it counts only towards leaving, and
only for a replica that has a ground of its own.

Grounds: the primary is silent, waiting work does not progress, a NEW-VIEW is wrong, a member needs another
view to vote again (`wishes`), or (while a view change is under way and q members are bound to it) its
NEW-VIEW does not come.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from validators import quorum
from validators.consensus.effects import Reason
from validators.consensus.judgement import SLOW, UNFAIR
from validators.consensus.messages import SupplyFrames, Suspect
from validators.consensus.pool import Key
from validators.consensus.verified import Verified
from validators.consensus.wishes import RETURNING

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["Suspicion"]

REASON_LENGTH_MAX = 64
JOINED = "joined"
"""Said by who suspects because enough others do; what they say counts for leaving, not for joining."""
LATENESS_KEPT = 256
"""Ticks whose lateness is remembered: about a minute at five a second."""
ADAPT_EVERY = 16
CALM = 10_000_000_000
"""Nanoseconds of an entered view, whose primary is heard and in which nothing waits, after which view changes
that failed before it count no more: an idle cluster has no checkpoint that would end it (0164)."""
LIFETIME_HEARTBEATS = 5
"""A SUSPECT not renewed for so many heartbeats has lapsed: four may be lost in a row."""


class Suspicion:
    """Owns all deadlines about primaries."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self.ground: str | None = None
        """Why this replica suspects the view, or None."""
        self.failures = 0
        """View changes begun since the last stable checkpoint: the timeout doubles with each after the
        first."""
        self.suspects: dict[int, tuple[int, int]] = {}
        """Member -> (view it would move to, monotonic time heard)."""
        self._reasons: dict[int, str] = {}
        """Why, in the words of each of them."""
        self._frames: dict[int, bytes] = {}
        """The newest SUSPECT of each of them, to be relayed."""
        self._relayed: dict[int, tuple[int, int]] = {}
        """As `suspects`, told by somebody else."""
        self._key: Key | None = None
        """The waiting request that the ground is about: it lapses when that one progresses (R29)."""
        self._mark = 0
        """`executed` when the ground arose."""
        self.primary_heard = 0
        self._met = False
        """The primary of the view was heard since this process started, or a view was entered or left."""
        self._progressed = 0
        self._waits_from = 0
        """What waited before a pause counts as waiting since then at the earliest (R31)."""
        self._bad_new_view = -1
        self._quorum_bound_at: int | None = None
        """When q members were seen bound to the view being entered: the timer's start (row 13)."""
        self._say_again = 0
        self._base = core.config.timeout_base
        self._round_trip = 0
        self._lateness: deque[int] = deque(maxlen=LATENESS_KEPT)

    # --- events -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start all clocks now (start, new view)."""
        now = self.core.now.monotonic
        self.primary_heard = self._progressed = now
        self.core.judgement.begin()
        self._clear()

    def on_primary_heard(self) -> None:
        """A proposal or heartbeat of the current view came straight from its primary."""
        self.primary_heard = self.core.now.monotonic
        self._met = True

    def on_executed(self) -> None:
        """A sequence was executed."""
        self._progressed = self.core.now.monotonic

    def on_stable(self) -> None:
        """A stable checkpoint: the view works (R31)."""
        self.failures = 0

    def on_quorum_returned(self) -> None:
        """Fewer than q members spoke, now q do: do not make them wait for a doubled timeout (R31). One
        member that comes and goes beside a quorum changes nothing: it may be a liar (row 13)."""
        self.failures = 0

    def on_left(self, view: int, *, entered: bool) -> None:
        """This replica sent a VIEW-CHANGE and left `view`, which it had entered or was only bound to."""
        self._met = True
        reasons = {self.ground, *(self._reasons.get(member) for member in self._alive(self.suspects, view))}
        self.core.judgement.on_left(slow=SLOW in reasons)
        self.failures = self.failures + 1 if self._failed(view, entered) else max(1, self.failures)
        self._quorum_bound_at = None
        self.core.wishes.on_moved()
        self._clear()

    def _failed(self, view: int, entered: bool) -> bool:
        """Whether this counts as one more view change that failed (R31). Not where only others found the
        view wrong, or so that a member may vote again, nor where its primary said that it has no vote: what
        liars bring about would add up."""
        if not entered:
            return not self.core.wishes.waits(quorum.primary(view, self.core.n))
        return self.ground not in (None, JOINED, RETURNING)

    def on_entered(self) -> None:
        """This replica entered a view."""
        self._met = True
        self._quorum_bound_at = None
        self.core.wishes.on_moved()
        self.begin()

    def on_bad_new_view(self, view: int) -> None:
        """The primary of `view` sent a NEW-VIEW that does not follow from its VIEW-CHANGEs: no need to
        wait for it, if this is the view being entered. A liar who leads a later one changes nothing."""
        self._bad_new_view = view
        self.evaluate()

    def on_view_change(self) -> None:
        """A VIEW-CHANGE was counted."""
        core = self.core
        views = core.views
        bound = views.changing and views.supporters(views.view) >= core.q
        if bound and self._quorum_bound_at is None:
            self._quorum_bound_at = core.now.monotonic
        joined = views.joined_view()
        if joined is not None and core.free:
            views.leave(joined, "f + 1 members left")
        else:
            self.evaluate()

    def refuse_suspect(self, message: Suspect, _member: int | None) -> Reason | None:
        """Cheap refusal (R5)."""
        return Reason.OLD_VIEW if message.view <= self.core.views.view else None

    def on_suspect(self, verified: Verified[Suspect]) -> None:
        """A member would move to a higher view."""
        message = verified.message
        core = self.core
        if (reason := self.refuse_suspect(message, verified.peer.member)) is not None:
            core.outbox.refused(reason, verified)
            return
        if verified.peer.member != message.sender:
            if message.reason == RETURNING:
                return  # whoever needs a view says so to everybody: a liar would show words of other minutes
            self._relayed[message.sender] = (message.view, core.now.monotonic)
            self.evaluate()
            return
        if message.sender not in self.suspects:
            text = message.reason[:REASON_LENGTH_MAX]
            core.outbox.note("suspect_heard", sender=message.sender, view=message.view, reason=text)
        self.suspects[message.sender] = (message.view, core.now.monotonic)
        self._reasons[message.sender] = message.reason[:REASON_LENGTH_MAX]
        self._frames[message.sender] = verified.frame
        self.evaluate()

    def heard_for(self, view: int) -> tuple[bytes, ...]:
        """SUSPECT frames that wanted `view` or a higher one, for members whose links are down."""
        return tuple(
            self._frames[member]
            for member, (wanted, _heard) in self.suspects.items()
            if wanted >= view and member in self._frames
        )

    # --- decisions ----------------------------------------------------------------------------------

    def evaluate(self) -> None:
        """Suspect, stop suspecting, or leave the view."""
        core = self.core
        if core.n == 1 or not core.free:
            return
        others = self._others()
        first_hand = self._first_hand(others)
        if self.ground is not None and self._lapsed(first_hand):
            core.outbox.note("suspicion_lapsed", view=core.views.view, reason=self.ground)
            self._clear()
        if self.ground in (None, JOINED):
            ground = self._own_ground()
            if ground is None and self.ground is None and first_hand >= quorum.join(core.n):
                ground = JOINED
            if ground is not None:
                self._suspect(ground)
        if self.ground is None:
            return
        if self.ground != JOINED:
            others = {**self._alive(self._relayed), **others}
        views = sorted([*others.values(), core.views.view + 1], reverse=True)
        if len(views) >= core.q:
            core.views.leave(views[core.q - 1], self.ground)

    def suspecting(self) -> tuple[int, ...]:
        """Members that would leave the current view, this one included."""
        members = set(self._others())
        if self.ground is not None:
            members.add(self.core.index)
        return tuple(sorted(members))

    def _others(self) -> dict[int, int]:
        """Members that would move (or are bound) to a higher view than mine -> that view."""
        core = self.core
        view = core.views.view
        found = self._alive(self.suspects)
        for member, claim in core.views.claims.items():
            if claim.view > view and member != core.index:
                found[member] = max(claim.view, found.get(member, 0))
        return found

    def _first_hand(self, others: dict[int, int]) -> int:
        """How many of them suspect for a ground of their own, or are bound: who only joined others must
        not keep these others' word alive when it has lapsed. Nor does anybody join a wish that it has not
        heard itself: a liar would tell one honest member, and withdraw it before the others knew (0164)."""
        claims = self.core.views.claims
        view = self.core.views.view
        return sum(
            self._reasons.get(member) not in (JOINED, RETURNING)
            or (member in claims and claims[member].view > view)
            for member in others
        )

    def _alive(self, table: dict[int, tuple[int, int]], view: int | None = None) -> dict[int, int]:
        """Suspicions of a view (the current one) that have not lapsed: member -> view wanted."""
        core = self.core
        view = core.views.view if view is None else view
        since = core.now.monotonic - LIFETIME_HEARTBEATS * core.config.heartbeat
        return {
            member: wanted for member, (wanted, heard) in table.items() if wanted > view and heard >= since
        }

    def _own_ground(self) -> str | None:
        core = self.core
        now = core.now.monotonic
        views = core.views
        if views.changing:
            if self._bad_new_view == views.view:
                return "bad_new_view"
            due = self.new_view_due(self.timeout)
            vain = due is not None and (now >= due or core.wishes.waits(views.primary))
            return "no_new_view" if vain else None
        if core.catch_up.is_holding():
            return None
        if not core.is_primary and now >= self._silent_due(self.timeout):
            return "silent_primary"
        due = self.progress_due(self.timeout)
        if due is not None and now >= due:
            return "no_progress"
        return core.judgement.ground() or core.wishes.ground(views.view)

    def _lapsed(self, first_hand: int) -> bool:
        core = self.core
        if self.ground == JOINED:
            return first_hand < quorum.join(core.n)
        if self.ground == "silent_primary":
            return core.now.monotonic < self._silent_due(self.timeout)
        if self.ground == "no_progress":
            if self._key is not None:
                return core.pool.get(self._key) is None
            return core.executed > self._mark
        if self.ground in (UNFAIR, SLOW):
            return core.judgement.ground() is None
        if self.ground == RETURNING:
            return core.wishes.ground(core.views.view) is None
        return False

    def _suspect(self, ground: str) -> None:
        core = self.core
        oldest = core.pool.oldest()
        self.ground = ground
        self._key = oldest.key if oldest is not None else None
        self._mark = core.executed
        if ground == RETURNING:
            core.wishes.on_ground(core.views.view)
        core.outbox.note("suspected", view=core.views.view, reason=ground)
        self._say()

    def _say(self) -> None:
        core = self.core
        message = Suspect(core.config.epoch, core.index, core.views.view + 1, self.ground or "")
        core.outbox.broadcast(core.signer.sign(message))
        relay = tuple(self._frames[member] for member in self._alive(self.suspects))
        if relay:
            core.outbox.broadcast(core.signer.link(SupplyFrames(relay)))
        self._say_again = core.now.monotonic + core.config.heartbeat

    def _clear(self) -> None:
        self.ground = None
        self._key = None

    # --- time ---------------------------------------------------------------------------------------

    @property
    def timeout(self) -> int:
        """T in nanoseconds: doubled for each failed view change, capped (R31)."""
        if self.failures <= 1:
            return self._base
        doubled = self._base << min(max(0, self.failures - 1), 8)
        return min(doubled, max(self.core.config.timeout_max, self._base))

    @property
    def base(self) -> int:
        """T without doublings, nanoseconds."""
        return self._base

    def on_round_trip(self, nanoseconds: int) -> None:
        """Within this time a quorum answers (pinging; R31)."""
        self._round_trip = nanoseconds
        self._adapt()

    def on_late(self, nanoseconds: int) -> None:
        """A tick came so long after it was due: as long as turns take here, or the processor is shared."""
        self._lateness.append(nanoseconds)
        if len(self._lateness) % ADAPT_EVERY == 0 or nanoseconds * 8 > self._base:
            self._adapt()

    def _adapt(self) -> None:
        """T = clamp(base, 8 x (round trip + own p99 turn time), 5 s); never the primary's speed (R31)."""
        config = self.core.config
        late = sorted(self._lateness)
        turn = late[(len(late) - 1) * 99 // 100] if late else 0
        wanted = 8 * (self._round_trip + turn)
        self._base = max(config.timeout_base, min(wanted, config.timeout_adapted_max))

    def new_view_due(self, timeout: int) -> int | None:
        """When a missing NEW-VIEW becomes a ground, or None: too few are bound to the view. `timeout`: T."""
        return None if self._quorum_bound_at is None else self._quorum_bound_at + timeout

    def _silent_due(self, timeout: int) -> int:
        """When the primary's silence becomes a ground. Whoever just started waits longer for the first
        word: members that start together are not ready together, and work that waits has its own clock."""
        return self.primary_heard + (timeout if self._met else max(timeout, self.core.config.first_word))

    def progress_due(self, timeout: int) -> int | None:
        """When waiting work without progress becomes a ground, or None: nothing waits. `timeout`: T."""
        core = self.core
        if core.executed >= core.log.stable + core.log.window:
            return None  # the window waits for a checkpoint: no primary could go on (PITFALLS row 6)
        since = core.waiting_since()
        return None if since is None else max(since, self._waits_from, self._progressed) + timeout

    def tick(self) -> None:
        """Deadlines may have passed."""
        core = self.core
        calm = self.ground is None and not core.views.changing and core.waiting_since() is None
        if calm and core.now.monotonic >= self._progressed + CALM:
            self.failures = 0
        core.clients.drop_settled()
        self._forward_again()
        self.evaluate()
        if self.ground is not None and core.now.monotonic >= self._say_again:
            self._say()

    def _forward_again(self) -> None:
        """Half way to suspicion the primary gets what waits here once more: a forward may be lost."""
        core = self.core
        oldest = core.pool.oldest()
        if oldest is not None and core.now.monotonic >= oldest.arrived + self.timeout // 2:
            core.clients.forward_waiting(self.timeout // 2)

    def deadline(self) -> int | None:
        """Monotonic time of the next look, or None."""
        core = self.core
        if core.n == 1 or not core.free:
            return None
        if self.ground is not None:
            return self._say_again
        if core.views.changing:
            return self.new_view_due(self.timeout)
        timeout = self.timeout
        earliest = None if core.is_primary else self._silent_due(timeout)
        due = self.progress_due(timeout)
        if due is not None:
            half = due - timeout // 2
            due = due if core.now.monotonic >= half else half
            earliest = due if earliest is None else min(earliest, due)
        if earliest is not None and core.catch_up.is_holding():
            return max(earliest, core.catch_up.held_until)
        return earliest

    def shift(self, gap: int) -> None:
        """This process was paused: nobody was silent meanwhile (R31)."""
        self.primary_heard += gap
        self._progressed += gap
        since = self.core.waiting_since()
        if since is not None:
            self._waits_from = max(since, self._waits_from) + gap
        if self._quorum_bound_at is not None:
            self._quorum_bound_at += gap
        for table in (self.suspects, self._relayed):
            for member, (view, heard) in table.items():
                table[member] = (view, heard + gap)
