"""Requests of clients, direct or forwarded by members (R12, R16, R19; P9 and P14)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from dtvn.protocol.consensus.application import Repeated
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.membership import KIND, is_reconfiguration
from dtvn.protocol.consensus.messages import UNOPENED, Bundle, Busy, Repeat
from dtvn.protocol.consensus.request_key import BATCH_HEADER, FRAMING, end_of, key_of
from dtvn.protocol.consensus.requests.pending import Pending
from dtvn.protocol.consensus.requests.pool import Pool
from dtvn.protocol.consensus.requests.throughput import Throughput, work_of
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.throttle import Throttle
from dtvn.protocol.consensus.verified import Peer, Verified, VerifiedBundle

RETRY_AFTER_MS = 100
FOR_EVER = 1 << 64
"""A batch time beyond any that a request names."""
CLIENTS = -1
"""Key for all clients together in tables keyed by member index."""
SECOND = 1_000_000_000
SETTLED_MAX = 64
"""Most waiting requests compared with the state at once, oldest first."""
VAIN_CHANGE_INTERVAL = 125_000_000
"""Nanoseconds, times n, between two unauthorised membership changes that a replica accepts from one member;
from clients it accepts half as many. So all members together accept four per second from clients."""
FORWARDED_MAX = 1_024
FORWARDED_BYTES_MAX = 1024 * 1024
"""Most waiting requests forwarded at once, and most bytes of them; the others follow on the next tick."""
KEPT_REPLY_BYTES_MAX = 2_048
"""Largest Reply that is kept for retries: that of one operation fits."""


class Clients:
    """Takes requests into the pool, and answers repeated and refused ones.

    The host drops answers to clients that are not connected here, so a forwarded request may be answered
    like a direct one.
    """

    def __init__(self, state: State, pool: Pool, throughput: Throughput) -> None:
        self.state = state
        self.pool = pool
        self.throughput = throughput
        self._answers: dict[bytes, bytes] = {}
        """Request digest -> the answer to a retry, the oldest first: the small Reply that was sent, later a
        signed Repeat. So retries cost no signature, or one."""
        self._vain_changes = Throttle(state, VAIN_CHANGE_INTERVAL * state.n)

    def refuse_bundle(self, message: Bundle) -> Reason | None:
        """Cheap refusal (R5) of a request that waits here already, that was executed, or that cannot be
        ordered. Changes no state."""
        state = self.state
        if not message.operations:
            return Reason.MALFORMED
        if message.epoch > state.config.epoch:
            return Reason.WRONG_EPOCH
        known = self._waiting(message)
        if known is not None and known.bundle.bundle == message:
            return Reason.SECOND_MESSAGE
        return self._settled(message)

    def on_refused(self, message: Bundle, digest: bytes, peer: Peer, reason: Reason) -> None:
        """Use a request that `refuse_bundle` refused; its signature need not be checked. A member that
        forwards a waiting request waits for it too. A settled request is answered to the client on whose link
        it came: the answer repeats what the log says, which needs no signature. A member answers its own
        clients."""
        if reason is Reason.SECOND_MESSAGE:
            known = self._waiting(message)
            if known is not None and peer.member is not None:
                self.pool.note_told(known, peer.member, self.state.now.monotonic)
        elif peer.member is None and peer.name == message.principal and reason is self._settled(message):
            self._answer(message, digest, reason)

    def _waiting(self, message: Bundle) -> Pending | None:
        """The waiting request under the key of this one."""
        return self.pool.get(key_of(message))

    def on_bundle(self, verified: Verified[Bundle]) -> None:
        """Put a signed request into the pool, or refuse it."""
        state = self.state
        bundle = verified.bundle
        if bundle is None:
            state.outbox.refused(Reason.MALFORMED, verified)
            return
        message, member = bundle.bundle, verified.peer.member
        if (reason := self.refuse_bundle(message)) is not None:
            self.on_refused(message, bundle.digest, verified.peer, reason)
            state.outbox.refused(reason, verified)
            return
        known = self._waiting(message)
        if known is None:
            self._take_in(bundle, member)
            return
        if member is not None:
            self.pool.note_told(known, member, state.now.monotonic)
        if known.bundle.digest != bundle.digest and not self._stands_behind(known, bundle, member):
            self._busy(message, bundle.digest, Reason.DUPLICATE_REQUEST)

    def _take_in(self, bundle: VerifiedBundle, member: int | None) -> None:
        """Put a request into the pool, unless there is no room."""
        state = self.state
        if (full := self._refuse_room(bundle, member)) is not None:
            self._busy(bundle.bundle, bundle.digest, full)
            return
        key = key_of(bundle.bundle)
        item = self.pool.add(bundle, key, state.now.monotonic, told=member is not None, member=member)
        if not state.is_primary:
            self._forward(item)

    def _stands_behind(self, known: Pending, bundle: VerifiedBundle, member: int | None) -> bool:
        """Whether a second body under the key of a waiting request is kept, to take its place when that one
        leaves. A body from a member is preferred to one from a client, then the one that stays executable
        longest: if the kept body is refused or fails, so would the others (0165)."""
        behind, lasts = known.behind, self._lasts(bundle.bundle)
        if behind is None:
            better = lasts > self._lasts(known.bundle.bundle)
        elif behind.digest == bundle.digest:
            known.passed_on = known.passed_on if member is None else member
            return True
        else:
            before = known.passed_on is not None, self._lasts(behind.bundle)
            better = (member is not None, lasts) > before
        return better and self._fits_a_batch(bundle) and self.pool.put_behind(known, bundle, member)

    def _lasts(self, message: Bundle) -> int:
        """Batch time until which a request can be executed. One past its end that is not refused is a retry:
        it gets its first outcome however late it arrives (R13)."""
        end, now = end_of(message), self.state.executor.timestamp
        return FOR_EVER if end < now and self.state.application.refuse(message, now) is None else end

    def _refuse_room(self, bundle: VerifiedBundle, member: int | None) -> Reason | None:
        """BUSY if the waiting requests would not drain in T / 2 at the measured rate (R30). A request that a
        member forwards has twice the room: that member admitted it, and waits for it to be proposed."""
        state = self.state
        if not self._fits_a_batch(bundle):
            return Reason.TOO_LARGE
        rate = self.throughput.rate()
        if rate is not None:
            room = max(rate * state.timeouts.base // (2 * SECOND), self._least_room())
            if self.pool.crowded(bundle, room if member is None else 2 * room):
                return Reason.BUSY
        return self.pool.refuse(bundle) or self._refuse_vain_change(bundle.bundle, member)

    def _refuse_vain_change(self, message: Bundle, member: int | None) -> Reason | None:
        """BUSY if unauthorised membership changes arrive too often. Nothing is proposed above a possible end
        of the epoch until it is executed (R35), and in the present state such a change yields
        `not_permitted`. Only the log decides that (R15), so some are admitted."""
        if not is_reconfiguration(message) or self.state.application.governs(message.principal):
            return None
        source, parts = (CLIENTS, 1) if member is None else (member, 0)
        return None if self._vain_changes.allow(source, KIND.encode(), parts) else Reason.BUSY

    def _least_room(self) -> int:
        """The work that a primary may have in flight at once."""
        config = self.state.config
        return config.pipeline * work_of(config.batch_operations_max)

    def answer_if_settled(self, bundle: VerifiedBundle) -> bool:
        """Answer a waiting request that was executed or that the state refuses; False if it may still be
        ordered."""
        reason = self._settled(bundle.bundle)
        if reason is None:
            return False
        self._answer(bundle.bundle, bundle.digest, reason)
        self._leave(bundle)
        return True

    def _settled(self, message: Bundle) -> Reason | None:
        """DECIDED for a request that was executed, else why it cannot be; None if it may still be ordered."""
        state = self.state
        if state.application.repeated(message) is not None:
            return Reason.DECIDED
        reason = state.application.refuse(message, state.executor.timestamp)
        return None if reason is None or self._opens_soon(message, reason) else reason

    def _answer(self, message: Bundle, digest: bytes, reason: Reason) -> None:
        """Answer a request that is not ordered (again), with its first outcome if it was executed."""
        repeated = self.state.application.repeated(message)
        if repeated is None:
            self._busy(message, digest, reason)
        elif repeated.digest == digest:
            self._repeat(message, repeated)
        else:
            self._busy(message, digest, Reason.DUPLICATE_REQUEST)

    def leave_pool(self, bundle: VerifiedBundle) -> Pending | None:
        """Remove a request that was executed or skipped. If it is the opening of a session, another body of
        that opening that ends no later is removed too: its outcome would have been the same, and the primary
        may have had no room for it."""
        message = bundle.bundle
        return self._leave(bundle, end_of(message) if message.session == UNOPENED else -1)

    def _leave(self, bundle: VerifiedBundle, last: int = -1) -> Pending | None:
        """Remove a request, and any other body under its key that it settled or that ends by `last`. A body
        that may still be executed stays, or a censoring primary could hide it (R30)."""
        state = self.state
        key = key_of(bundle.bundle)
        item = self.pool.get(key)
        if item is None:
            return None
        other = item.bundle
        stays = other.digest != bundle.digest and end_of(other.bundle) > last
        if stays and state.application.repeated(other.bundle) is None:
            return None
        self.pool.remove(key)
        behind = item.behind
        if behind is not None and end_of(behind.bundle) > last and not self.answer_if_settled(behind):
            self._take_in(behind, item.passed_on)
        return item

    def _opens_soon(self, message: Bundle, reason: Reason) -> bool:
        """Whether a sequence that this replica has still to execute may open the request's session."""
        ahead = message.session[0] - self.state.executed
        return reason is Reason.UNKNOWN_SESSION and 0 < ahead <= self.state.config.window

    def drop_settled(self) -> None:
        """Drop requests that the state now refuses: they are no cause for suspicion (P14), and
        must not fill the pool. Checks the oldest ones, which have waited longer than T / 2."""
        state = self.state
        before = state.now.monotonic - state.timeouts.timeout // 2
        for item in list(islice(self.pool, SETTLED_MAX)):
            if item.arrived > before:
                return
            if not item.proposed:
                self.answer_if_settled(item.bundle)

    def forward_waiting(self, interval: int) -> None:
        """Forward the oldest waiting requests to the primary, each at most once per interval."""
        state = self.state
        if state.is_primary or state.views.changing:
            return
        before = state.now.monotonic - interval
        due = (item for item in self.pool if item.forwarded == 0 or item.forwarded <= before)
        room = FORWARDED_BYTES_MAX
        for item in islice(due, FORWARDED_MAX):
            self._forward(item)
            room -= item.size
            if room <= 0:
                return

    def requeue(self, bundles: Iterable[VerifiedBundle]) -> None:
        """Return requests of slots that a view change dropped to the pool, so that none is lost (R33)."""
        state = self.state
        for bundle in bundles:
            key = key_of(bundle.bundle)
            if self.pool.get(key) is not None or not self._fits_a_batch(bundle):
                continue
            if self.refuse_bundle(bundle.bundle) is None and self.pool.refuse(bundle) is None:
                self.pool.add(bundle, key, state.now.monotonic)

    def _fits_a_batch(self, bundle: VerifiedBundle) -> bool:
        """Whether an honest primary could propose it; a faulty primary's batch may hold a larger request."""
        config = self.state.config
        if len(bundle.bundle.operations) > config.batch_operations_max:
            return False
        return len(bundle.frame) + BATCH_HEADER + FRAMING <= config.batch_bytes_max

    def _forward(self, item: Pending) -> None:
        state = self.state
        if state.views.changing:
            return
        item.forwarded = state.now.monotonic
        state.outbox.send(state.views.primary, item.bundle.frame)

    def on_answered(self, request: bytes, frame: bytes) -> None:
        """Keep the Reply to a request that was just executed, unless it is large: under load many retries
        arrive soon after it."""
        if len(frame) <= KEPT_REPLY_BYTES_MAX:
            self._keep(request, frame)

    def _keep(self, request: bytes, frame: bytes) -> None:
        if len(self._answers) >= self.state.config.answers_kept:
            del self._answers[next(iter(self._answers))]
        self._answers[request] = frame

    def _repeat(self, message: Bundle, repeated: Repeated) -> None:
        state = self.state
        frame = self._answers.get(repeated.digest)
        if frame is None:
            frame = state.signer.sign(
                Repeat(
                    epoch=state.config.epoch,
                    sender=state.index,
                    session=message.session,
                    number=message.number,
                    request=repeated.digest,
                    sequence=repeated.sequence,
                    first_index=repeated.first_index,
                    codes=repeated.codes,
                )
            )
            self._keep(repeated.digest, frame)
        state.outbox.reply(message.principal, message.client, frame)

    def _busy(self, message: Bundle, digest: bytes, reason: Reason) -> None:
        busy = Busy(
            session=message.session,
            number=message.number,
            request=digest,
            code=reason.value,
            retry_after_ms=RETRY_AFTER_MS,
            timestamp=self.state.executor.timestamp if reason is Reason.EXPIRED else 0,
        )
        self.state.outbox.reply(message.principal, message.client, self.state.signer.link(busy))
