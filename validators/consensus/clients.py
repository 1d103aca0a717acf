"""Phase: requests of clients, straight or forwarded by members (R12, R16, R19; PITFALLS rows 9 and 14)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from validators.consensus.application import Repeated
from validators.consensus.effects import Reason
from validators.consensus.membership import KIND, is_reconfiguration
from validators.consensus.messages import Bundle, Busy, Repeat
from validators.consensus.pace import work_of
from validators.consensus.pool import BATCH_HEADER, FRAMING, UNOPENED, Pending, end_of, key_of
from validators.consensus.throttle import Throttle
from validators.consensus.verified import Verified, VerifiedBundle

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["Clients"]

RETRY_AFTER_MS = 100
FOR_EVER = 1 << 64
"""Batch time that no request names."""
CLIENTS = -1
"""Stands for all clients where members are numbered."""
SECOND = 1_000_000_000
SETTLED_MAX = 64
"""Waiting requests compared with the state at once, oldest first."""
VAIN_CHANGE_INTERVAL = 125_000_000
"""Nanoseconds, times n, between two changes of the membership by whoever may not that one member passes on;
of clients a member takes half as many. So all members together let four in a second."""
FORWARDED_MAX = 1_024
FORWARDED_BYTES_MAX = 1024 * 1024
"""Waiting requests forwarded at once, and their bytes; the others follow on the next tick."""


class Clients:
    """Takes requests into the pool, answers repeated and refused ones.

    Answers to clients that are not connected here are dropped by the host, so a forwarded request may
    be answered like a straight one.
    """

    def __init__(self, core: Replica) -> None:
        self.core = core
        self._repeats: dict[bytes, bytes] = {}
        """Request digest -> signed Repeat, so that a storm of retries costs one signature."""
        self._vain_changes = Throttle(core, VAIN_CHANGE_INTERVAL * core.n)

    def refuse_bundle(self, message: Bundle, member: int | None) -> Reason | None:
        """Cheap refusal (R5): what cannot be ordered at all, or waits here already. A member that repeats
        what waits says that it waits for that too."""
        core = self.core
        if not message.operations:
            return Reason.MALFORMED
        if message.epoch > core.config.epoch:
            return Reason.WRONG_EPOCH
        if message.session != (0, 0):
            known = core.pool.get((message.principal, *message.session, message.number))
            if known is not None and known.bundle.bundle == message:
                if member is not None:
                    core.pool.note_told(known, core.now.monotonic)
                return Reason.SECOND_MESSAGE
        if member is not None and core.application.repeated(message) is not None:
            return Reason.DECIDED  # the member that passed it on answers its client itself
        return None

    def on_bundle(self, verified: Verified[Bundle]) -> None:
        """A signed request."""
        core = self.core
        bundle = verified.bundle
        if bundle is None:
            core.outbox.refused(Reason.MALFORMED, verified)
            return
        message = bundle.bundle
        if (reason := self.refuse_bundle(message, verified.peer.member)) is not None:
            core.outbox.refused(reason, verified)
            return
        if self.answer_if_settled(bundle):
            return
        member = verified.peer.member
        known = core.pool.get(key_of(message, bundle.digest))
        if known is None:
            self._take_in(bundle, member)
            return
        if member is not None:
            core.pool.note_told(known, core.now.monotonic)
        if known.bundle.digest != bundle.digest and not self._stands_behind(known, bundle, member):
            self._busy(bundle, Reason.DUPLICATE_REQUEST)

    def _take_in(self, bundle: VerifiedBundle, member: int | None) -> None:
        """It waits from now on, unless there is no room."""
        core = self.core
        if (full := self._refuse_room(bundle, member)) is not None:
            self._busy(bundle, full)
            return
        key = key_of(bundle.bundle, bundle.digest)
        item = core.pool.add(bundle, key, core.now.monotonic, told=member is not None)
        if not core.is_primary:
            self._forward(item)

    def _stands_behind(self, known: Pending, bundle: VerifiedBundle, member: int | None) -> bool:
        """Whether this other body of a key that waits here is kept, for when that one is gone: what a member
        waits for before what a client says, then what can be executed longest. Where the one that is kept
        is refused or fails, so do the others (0165)."""
        behind, lasts = known.behind, self._lasts(bundle.bundle)
        if behind is None:
            better = lasts > self._lasts(known.bundle.bundle)
        elif behind.digest == bundle.digest:
            known.passed_on = known.passed_on if member is None else member
            return True
        else:
            before = known.passed_on is not None, self._lasts(behind.bundle)
            better = (member is not None, lasts) > before
        return better and self._fits_a_batch(bundle) and self.core.pool.put_behind(known, bundle, member)

    def _lasts(self, message: Bundle) -> int:
        """Until when it can be executed. What is past its end and not refused is a retry, which has its first
        outcome however late it comes (R13)."""
        end, now = end_of(message), self.core.execution.executor.timestamp
        return FOR_EVER if end < now and self.core.application.refuse(message, now) is None else end

    def _refuse_room(self, bundle: VerifiedBundle, member: int | None) -> Reason | None:
        """BUSY when what waits would not drain in T / 2 at the measured rate (R30). What a member passes
        on has twice the room: that member let it in, and waits for it to be proposed."""
        core = self.core
        if not self._fits_a_batch(bundle):
            return Reason.TOO_LARGE
        rate = core.pace.rate()
        if rate is not None:
            room = max(rate * core.suspicion.base // (2 * SECOND), self._least_room())
            if core.pool.crowded(bundle, room if member is None else 2 * room):
                return Reason.BUSY
        return core.pool.refuse(bundle) or self._refuse_vain_change(bundle.bundle, member)

    def _refuse_vain_change(self, message: Bundle, member: int | None) -> Reason | None:
        """BUSY too often: nothing is proposed above what may end the epoch until it is executed (R35), and
        by this state it comes to `not_permitted`. The log alone says that (R15), so some are let in."""
        if not is_reconfiguration(message) or self.core.application.governs(message.principal):
            return None
        source, parts = (CLIENTS, 1) if member is None else (member, 0)
        return None if self._vain_changes.allow(source, KIND.encode(), parts) else Reason.BUSY

    def _least_room(self) -> int:
        """What a primary may have in flight at once."""
        config = self.core.config
        return config.pipeline * work_of(config.batch_operations_max)

    def answer_if_settled(self, bundle: VerifiedBundle) -> bool:
        """Answer a request that was executed or that the state refuses; False: it may be ordered."""
        core = self.core
        message = bundle.bundle
        repeated = core.application.repeated(message)
        if repeated is not None:
            if repeated.digest == bundle.digest:
                self._repeat(bundle, repeated)
            else:
                self._busy(bundle, Reason.DUPLICATE_REQUEST)
        else:
            reason = core.application.refuse(message, core.execution.executor.timestamp)
            if reason is None or self._opens_soon(message, reason):
                return False
            self._busy(bundle, reason)
        self._leave(bundle)
        return True

    def leave_pool(self, bundle: VerifiedBundle) -> Pending | None:
        """This request was executed or skipped: it waits no more. Nor does another body of its opening that
        ends no later: its outcome would have been the same, and the primary may have had no place for it."""
        message = bundle.bundle
        return self._leave(bundle, end_of(message) if message.session == UNOPENED else -1)

    def _leave(self, bundle: VerifiedBundle, last: int = -1) -> Pending | None:
        """This request waits no more, nor does another body under the key that it settled or that ends by
        `last`. One that may still be executed stays, or a censor could hide it (R30)."""
        core = self.core
        key = key_of(bundle.bundle, bundle.digest)
        item = core.pool.get(key)
        if item is None:
            return None
        other = item.bundle
        stays = other.digest != bundle.digest and end_of(other.bundle) > last
        if stays and core.application.repeated(other.bundle) is None:
            return None
        core.pool.remove(key)
        behind = item.behind
        if behind is not None and end_of(behind.bundle) > last and not self.answer_if_settled(behind):
            self._take_in(behind, item.passed_on)
        return item

    def _opens_soon(self, message: Bundle, reason: Reason) -> bool:
        """Its session is opened by a sequence that others executed and this replica will."""
        ahead = message.session[0] - self.core.executed
        return reason is Reason.UNKNOWN_SESSION and 0 < ahead <= self.core.config.window

    def drop_settled(self) -> None:
        """Requests that the state meanwhile refuses are no ground for suspicion (PITFALLS row 14), and
        must not fill the pool. The oldest are looked at, those that wait for longer than T / 2."""
        core = self.core
        before = core.now.monotonic - core.suspicion.timeout // 2
        for item in list(islice(core.pool, SETTLED_MAX)):
            if item.arrived > before:
                return
            if not item.proposed:
                self.answer_if_settled(item.bundle)

    def forward_waiting(self, interval: int) -> None:
        """Hand the oldest waiting requests to the primary, each at most once per interval."""
        core = self.core
        if core.is_primary or core.views.changing:
            return
        before = core.now.monotonic - interval
        due = (item for item in core.pool if item.forwarded == 0 or item.forwarded <= before)
        room = FORWARDED_BYTES_MAX
        for item in islice(due, FORWARDED_MAX):
            self._forward(item)
            room -= item.size
            if room <= 0:
                return

    def requeue(self, bundles: list[VerifiedBundle]) -> None:
        """Requests of slots that a view change dropped wait again: known to any, lost to none (R33)."""
        core = self.core
        for bundle in bundles:
            key = key_of(bundle.bundle, bundle.digest)
            settled = core.application.repeated(bundle.bundle) is not None
            if settled or core.pool.get(key) is not None or not self._fits_a_batch(bundle):
                continue
            if self.refuse_bundle(bundle.bundle, None) is None and core.pool.refuse(bundle) is None:
                core.pool.add(bundle, key, core.now.monotonic)

    def _fits_a_batch(self, bundle: VerifiedBundle) -> bool:
        """Whether an honest primary could propose it: one that came in a liar's batch may be larger."""
        config = self.core.config
        if len(bundle.bundle.operations) > config.batch_operations_max:
            return False
        return len(bundle.frame) + BATCH_HEADER + FRAMING <= config.batch_bytes_max

    def _forward(self, item: Pending) -> None:
        core = self.core
        if core.views.changing:
            return
        item.forwarded = core.now.monotonic
        core.outbox.send(core.views.primary, item.bundle.frame)

    def _repeat(self, bundle: VerifiedBundle, repeated: Repeated) -> None:
        core = self.core
        frame = self._repeats.get(bundle.digest)
        if frame is None:
            message = bundle.bundle
            frame = core.signer.sign(
                Repeat(
                    epoch=core.config.epoch,
                    sender=core.index,
                    session=message.session,
                    number=message.number,
                    request=bundle.digest,
                    sequence=repeated.sequence,
                    first_index=repeated.first_index,
                    codes=repeated.codes,
                )
            )
            if len(self._repeats) >= core.config.replies_kept:
                del self._repeats[next(iter(self._repeats))]
            self._repeats[bundle.digest] = frame
        core.outbox.reply(bundle.bundle.principal, bundle.bundle.client, frame)

    def _busy(self, bundle: VerifiedBundle, reason: Reason) -> None:
        message = bundle.bundle
        busy = Busy(
            session=message.session,
            number=message.number,
            request=bundle.digest,
            code=reason.value,
            retry_after_ms=RETRY_AFTER_MS,
        )
        self.core.outbox.reply(message.principal, message.client, self.core.signer.link(busy))
