"""The client side of the protocol: bundles out, outcomes that f + 1 members agree on in. Pure.

Theory of operation. Operations wait in a queue while bundles are in flight; those that have gathered form
the next bundle (natural batching: one when idle, hundreds under load), signed once. It goes to the
believed primary, after the first timeout to all members, and again until its operations can no
longer be valid (R14, R34). Bundles belong to a *session* (R12) that an ordered operation opens; its
numbers make a bundle that was sent ten times execute once.

Operations that their caller did not date are dated when they are sent (log_clock.py, R14).

No outcome is accepted from one member alone (answers.py). A single member's view, `busy` or
`unknown_session` affects only when and where frames are sent.

A bundle refused with `unknown_session` may have executed before its session was evicted, or may execute
later, so it is not simply sent again in another session: a call's part moves only if each of its operations
has a nonce; otherwise its outcome stays unknown. Answers to the abandoned bundle still count. sessions.py
replaces idle sessions early so that this is rare.

The caller (client.py, or the simulator) feeds `submit`, `ask`, `connected`, `receive`, `tick` and after
each round of them calls `take` for what to send and what is completed.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dtvn.gateway.answers import ReplyHead, Tally, Verdict, Verifier
from dtvn.gateway.bundles import Bundles, waited_for
from dtvn.gateway.calls import MISDATED, Completed, OperationTooLarge, Overloaded, Part, Queue, Result
from dtvn.gateway.epochs import Epochs
from dtvn.gateway.flights import Flight, Flights
from dtvn.gateway.log_clock import LogClock
from dtvn.gateway.questions import STATUS_EVERY, Answered, MemberStatus, Questions
from dtvn.gateway.reach import Reach
from dtvn.gateway.round_trips import RETRY_MAX, Latencies, Views
from dtvn.gateway.sessions import OPENING_WAIT, Sessions
from dtvn.machine.reasons import CLUSTER_CONTRADICTION, OK, UNAVAILABLE
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import BATCH_HEADER, FRAMING
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now, Reason
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.epochs.proofs import EPOCH_CHANGES
from dtvn.protocol.genesis import Genesis
from dtvn.protocol.host.ports import Signer
from dtvn.protocol.wire import Door, Envelope

__all__ = [
    "Actions",
    "Answered",
    "Collector",
    "Completed",
    "MemberStatus",
    "OperationTooLarge",
    "Overloaded",
    "Result",
]

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
IN_FLIGHT_MAX = 4
"""Young bundles in flight at once: enough to keep a pipeline busy, few enough that bundles grow."""

YOUNG = 1 * SECOND
"""A bundle older than this no longer holds back others: it may never be answered."""

FLIGHTS_MAX = 256
"""Bundles in flight in all; a quarter of a session's window of numbers (R12)."""
OPERATIONS_WAITING_MAX = 50_000
BYTES_WAITING_MAX = 64 * 1024 * 1024
"""Beyond either limit a call raises Overloaded: two seconds of work at full speed."""

BUNDLE_OPERATIONS_MAX = 1_000
BUNDLE_FRAMING = 4_096
"""Bytes of a bundle that are not operations, generously (R20 bounds the whole)."""


class Actions(msgspec.Struct):
    """For the caller: `send` frames (member index, frame), then pass results and answers to callers."""

    send: list[tuple[int, bytes]] = []
    completed: list[Completed] = []
    answered: list[Answered] = []
    judged: list[tuple[int, bytes]] = []
    """(member, encoded Judged)."""
    successor: Membership | None = None
    """The next epoch: its members are to be dialled before anything is sent (R16, R35)."""


class Collector:
    """Collects for one principal on one cluster. `client`: 8 bytes that name this process to the members,
    never reused. `epoch_changes`: those of ended epochs that are known already. `poll_at_rest`: see
    Questions. Times are monotonic nanoseconds unless noted."""

    def __init__(
        self,
        genesis: Genesis,
        *,
        principal: str,
        client: bytes,
        signer: Signer,
        door: Door,
        epoch_changes: Iterable[bytes] = (),
        in_flight_max: int = IN_FLIGHT_MAX,
        bundle_operations_max: int = BUNDLE_OPERATIONS_MAX,
        poll_at_rest: int = STATUS_EVERY,
    ) -> None:
        self.log_clock = LogClock()
        self._client = client
        self._bundles = Bundles(principal, client, signer, self.log_clock)
        self._sessions = Sessions(principal, client)
        self._door = door
        self.epochs = Epochs(genesis, door.scheme, epoch_changes)
        self._asked: dict[int, int] = {}
        """Member asked, by open question for epoch change proofs: a silent lying member must not keep the
        collector from asking the others."""
        self._bundle_operations_max = bundle_operations_max
        self._poll_at_rest = poll_at_rest
        self._queue = Queue(operations_max=OPERATIONS_WAITING_MAX, bytes_max=BYTES_WAITING_MAX)
        self._begin(self.epochs.present, first_question=1)
        self._envelopes = msgspec.msgpack.Decoder(Envelope)
        self._in_flight_max = in_flight_max
        self._flights = Flights()
        self.held = False  # True: nothing new is sent, since the key is about to change
        self._latencies = Latencies()
        self._actions = Actions()
        self.acknowledged = 0
        """Highest sequence that holds an outcome of this collector (R17)."""

    def _begin(self, membership: Membership, *, first_question: int) -> None:
        """Switch to the members of an epoch, none of them connected yet. Question numbers continue, since
        callers have not been notified yet of the questions that were lost."""
        self._members = tuple(member.id for member in membership.members)
        self._epoch = membership.epoch
        count, mode = len(self._members), membership.mode
        self._weak = quorum.weak_quorum(count, mode)
        self._honest = count - quorum.faults(count, mode)
        self._verifier = Verifier(self._door, self._members, self._epoch)
        self._views = Views(count, mode)
        self.questions = Questions(count, first_question, poll_at_rest=self._poll_at_rest)
        self._reach = Reach(count, mode)
        self._bytes_max = most = membership.parameters.batch_bytes_max
        self._queue.resize(max(most - BUNDLE_FRAMING, most // 2))
        self._operations_max = min(self._bundle_operations_max, membership.parameters.batch_operations_max)

    def _follow(self, member: int, now: Now) -> None:
        """Ask a member that reports a later epoch for the epoch change proofs that prove it (R16)."""
        if self.questions.statuses[member].report.epoch > self._epoch:
            self._ask_for_proofs(member, now)

    def _ask_for_proofs(self, member: int, now: Now) -> None:
        if member not in self._asked.values():
            self._asked[self.ask(member, EPOCH_CHANGES, (str(self._epoch),), now, wait=SECOND)] = member

    def _on_epoch_changes(self, member: int, answered: Answered, now: Now) -> None:
        """Handle epoch change proofs. In a newly proved epoch all bundles are sent and tallied anew, since
        a claim counts only in its own epoch."""
        del self._asked[answered.question]
        if answered.code or not self.epochs.take(answered.text):
            self._verifier.refused[member] += not answered.code
        following = self.epochs.present
        if following.epoch <= self._epoch:
            return
        self._tell(self.questions.lost(frozenset(range(len(self._members)))))
        self._begin(following, first_question=self.questions.following)
        self._actions.successor = following
        self._actions.judged.clear()  # from the links of the members before
        for request, flight in self._flights.items():
            flight.tally = Tally(request, flight.tally.operations, self._weak)
            flight.retry_at = now.monotonic
            self._flights.note(request)

    def _tell(self, answered: list[Answered]) -> None:
        """Pass answers on to callers, except those to the collector's own questions."""
        for each in answered:
            if self._asked.pop(each.question, None) is None:
                self._actions.answered.append(each)

    def flies(self) -> bool:
        """Whether a bundle is in flight."""
        return self._flights.flying > 0

    def rekey(self, principal: str, signer: Signer, now: Now) -> None:
        """Sign under another name and key. Bundles in flight are abandoned: their key may be invalid now."""
        for flight in [flight for flight in self._flights.values() if not flight.left]:
            self._session_is_gone(flight, now)
        self.held = False
        self._bundles = Bundles(principal, self._client, signer, self.log_clock)
        self._sessions = Sessions(principal, self._client)

    # --- in --------------------------------------------------------------------------------------

    def submit(self, operations: tuple[m.Operation, ...], now: Now, *, wait: int) -> int:
        """Queue operations to be ordered (see GatewayFace.submit); return the call's number. `take` reports
        the call as completed when all outcomes are known or `wait` nanoseconds have passed. Raises Overloaded
        or OperationTooLarge, in which case nothing is queued."""
        self.questions.used(now.monotonic)
        return self._queue.add(operations, now.monotonic, now.monotonic + wait).number

    def ask(self, member: int, what: str, arguments: tuple[str, ...], now: Now, *, wait: int) -> int:
        """Ask one member a question (`Query`); return its number. `take` reports the answer when it has
        arrived or `wait` nanoseconds have passed."""
        number, frame = self.questions.ask(member, what, arguments, now.monotonic, wait)
        self._actions.send.append((member, frame))
        return number

    def connected(self, members: frozenset[int], now: Now) -> None:
        """Note which members have an authenticated connection now."""
        lost, found = self._reach.change(members, now.monotonic)
        self._tell(self.questions.lost(lost))
        self.questions.found(found)

    def receive(self, member: int, frame: bytes, now: Now) -> None:
        """Handle a frame from the authenticated link of `member`; never raises, whatever it holds."""
        if self._actions.successor is not None:
            return  # it was read before, so `member` is an index in the epoch that is over
        try:
            envelope = self._envelopes.decode(frame)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self._verifier.refused[member] += 1
            return
        if envelope.kind == _REPLY:
            self._on_reply(member, envelope, now)
        elif envelope.kind == _REPEAT:
            self._on_repeat(member, envelope, frame, now)
        elif envelope.kind == _BUSY:
            self._on_busy(member, envelope, now)
        elif envelope.kind == _JUDGED:
            self._actions.judged.append((member, envelope.body))
        elif envelope.kind == _ANSWER:
            answered = self.questions.on_answer(member, envelope.body, now.monotonic, now.wall)
            if answered is not None and answered.question in self._asked:
                self._on_epoch_changes(member, answered, now)
            elif answered is not None:
                self._actions.answered.append(answered)
            else:
                self._views.says(member, self.questions.statuses[member].report.view)
                self._follow(member, now)

    def tick(self, now: Now) -> None:
        """Handle the passage of time: resend or give up bundles, end calls, poll the members' status."""
        for request, flight in self._flights.overdue(now.monotonic):
            if flight.expired:
                self._end_expired(flight, now)
            elif flight.give_up_at <= now.monotonic:
                self._give_up(request, flight)
            else:
                self._send_again(flight, now)
                self._flights.note(request)
        self._actions.completed += self._queue.overdue(now.monotonic)
        self._refuse_unsent(now)
        self._tell(self.questions.overdue(now.monotonic))
        self._actions.send += self.questions.poll(self._reach.connected, now.monotonic)

    # --- out -------------------------------------------------------------------------------------

    def take(self, now: Now) -> Actions:
        """Form bundles out of waiting operations, and return all pending actions."""
        self._launch(now)
        actions, self._actions = self._actions, Actions()
        return actions

    def deadline(self) -> int:
        """Monotonic nanoseconds at which `tick` must be called next."""
        times = [self.questions.deadline()]
        times += [due for due in (self._flights.deadline(), self._queue.deadline()) if due is not None]
        if len(self._queue):
            if (due := self._reach.due()) is not None and self._queue.unsent():
                times.append(due)
            elif due is None and (opening := self._sessions.deadline()) is not None:
                times.append(opening)
        return min(times)

    def primary(self) -> int:
        """Index of the believed primary."""
        return self._views.primary()

    def waiting_since(self) -> int | None:
        """When the oldest request was submitted that has no answer yet, monotonic nanoseconds; None: none
        waits."""
        began = self._queue.waiting_since(), self._flights.waiting_since()
        return min((each for each in began if each is not None), default=None)

    def refused(self) -> tuple[int, ...]:
        """Number of invalid answers by member."""
        return tuple(self._verifier.refused)

    # --- answers ---------------------------------------------------------------------------------

    def _on_reply(self, member: int, envelope: Envelope, now: Now) -> None:
        head: ReplyHead | None = self._verifier.head(envelope.body)
        if head is None:
            self._verifier.refused[member] += 1
            return
        flight = self._flights.get(head.request)
        if flight is None:
            return
        self._settle(flight, flight.tally.reply(member, head, self._verifier), now)
        if self._verifier.later:
            self._verifier.later = False
            self._ask_for_proofs(member, now)

    def _on_repeat(self, member: int, envelope: Envelope, frame: bytes, now: Now) -> None:
        try:
            said = canonical.decode(m.Repeat, envelope.body)
        except canonical.CanonicalError:
            self._verifier.refused[member] += 1
            return
        flight = self._flights.get(said.request)
        if flight is not None:
            self._settle(flight, flight.tally.repeat(member, frame, said, self._verifier), now)

    def _on_busy(self, member: int, envelope: Envelope, now: Now) -> None:
        try:
            busy = canonical.decode(m.Busy, envelope.body)
        except canonical.CanonicalError:
            self._verifier.refused[member] += 1
            return
        flight = self._flights.get(busy.request)
        if flight is None:
            return
        enough = flight.tally.hint(member, busy.code, busy.timestamp)
        if busy.code == Reason.EXPIRED:
            self._is_expired(member, flight, enough, now)
        elif not enough:
            return
        elif busy.code in (Reason.UNKNOWN_SESSION, Reason.OUTSIDE_SESSION_WINDOW):
            self._session_is_gone(flight, now)
        elif busy.code == Reason.TOO_LARGE:
            self._is_too_large(flight, now)
        elif busy.code == Reason.BUSY:
            pause = min(max(busy.retry_after_ms, 0) * MILLISECOND, RETRY_MAX)
            flight.retry_at = max(flight.retry_at, now.monotonic + pause)

    def _is_expired(self, member: int, flight: Flight, enough: bool, now: Now) -> None:
        """Of f + 1 one is honest and executed past the bundle's end without it: it can only expire. But the
        lowest of their times may be a lie: n - f are heard, or as many as answer until the next sending."""
        flight.expired |= enough
        if enough and (flight.left or flight.tally.hinting(Reason.EXPIRED) >= self._honest):
            self._end_expired(flight, now)
        elif member == self._views.primary() and not flight.to_all:
            flight.retry_at = now.monotonic  # all are asked at once
            self._flights.note(flight.tally.request)

    def _end_expired(self, flight: Flight, now: Now) -> None:
        self.log_clock.verified(flight.tally.expired_at(), now)
        self._sessions.misdated(flight.tally.request)
        self._end(flight.tally.request, [Result(Reason.EXPIRED.value)] * len(flight.tally.operations))

    def _settle(self, flight: Flight, verdict: Verdict | None, now: Now) -> None:
        if verdict is None:
            return
        self.log_clock.verified(verdict.timestamp, now)
        request = flight.tally.request
        self._latencies.add(now.monotonic - flight.first_sent)
        self.acknowledged = max(self.acknowledged, verdict.sequence)
        if flight.session != m.UNOPENED:
            self._sessions.executed(flight.session, now)
        elif verdict.outcomes[0].code == OK:
            self._sessions.opened(request, (verdict.sequence, verdict.first_index), now)
        elif verdict.outcomes[0].code in MISDATED:
            self._sessions.misdated(request)
        results = [
            Result(
                outcome.code, outcome.state, verdict.sequence, verdict.first_index + offset, verdict.timestamp
            )
            for offset, outcome in enumerate(verdict.outcomes)
        ]
        self._end(request, results)

    def _end(self, request: bytes, results: list[Result]) -> None:
        """End a bundle: release its number and give its calls their results."""
        flight = self._flights.remove(request)
        self._sessions.ended(request, flight.session, flight.number)
        start = 0
        for part in flight.parts:
            self._complete(self._queue.settle(part, results[start : start + part.count]))
            start += part.count

    def _give_up(self, request: bytes, flight: Flight) -> None:
        """End a bundle whose operations can no longer be valid: their outcomes stay unknown."""
        for place, part in enumerate(flight.parts):
            if place not in flight.moved:
                self._complete(self._queue.give_up(part.call))
        self._flights.remove(request)
        self._sessions.ended(request, flight.session, flight.number)

    def _complete(self, completed: Completed | None) -> None:
        if completed is not None:
            self._actions.completed.append(completed)

    def _session_is_gone(self, flight: Flight, now: Now) -> None:
        """f + 1 members do not know the session: abandon it, and requeue each call whose operations all have
        nonces, whether or not the other calls of its bundle have them."""
        self._sessions.leave(flight.session)
        back: list[Part] = []
        for place, part, operations in flight.carried():
            if place not in flight.moved and all(operation.nonce for operation in operations):
                flight.moved.add(place)
                back.append(part)
        for part in reversed(back):
            self._queue.put_back(part)
        self._flights.note(flight.tally.request)
        for request in self._flights.left()[:-FLIGHTS_MAX]:
            self._flights.remove(request)

    def _is_too_large(self, flight: Flight, now: Now) -> None:
        """f + 1 members no longer order a bundle this large: calls with nonces go into smaller ones; the
        outcome of the others is unknown now rather than at their deadline (R14, R20)."""
        count = len(flight.tally.operations)
        if count <= self._operations_max and len(flight.frame) + BATCH_HEADER + FRAMING <= self._bytes_max:
            return  # the limit of an epoch not proved yet: new bundles would be just as large
        if count > 1:
            self._session_is_gone(flight, now)
        for place, part, _operations in flight.carried():
            if place not in flight.moved:
                flight.moved.add(place)
                self._complete(self._queue.give_up(part.call))
        self._flights.note(flight.tally.request)

    # --- sending ---------------------------------------------------------------------------------

    def _launch(self, now: Now) -> None:
        if not len(self._queue) or self.held:
            return
        self._refuse_unsent(now)
        if not self._reach.has_quorum or self._contradicted():
            return
        session = self._sessions.usable(now)
        if session is None:
            self._open_session(now)
            return
        if self._flights.flying >= FLIGHTS_MAX:
            return
        young = self._flights.young(now.monotonic - YOUNG)
        while young < self._in_flight_max:
            parts = self._queue.gather(self._operations_max)
            if not parts:
                return
            self._fly(session.key, session.take_number(), waited_for(parts, now), parts, now)
            young += 1

    def _open_session(self, now: Now) -> None:
        operation = self._sessions.to_open(now)
        if operation is not None:
            self._sessions.opening(self._fly(m.UNOPENED, (0, 0), [((operation,), OPENING_WAIT)], [], now))

    def _fly(
        self,
        session: tuple[int, int],
        number: tuple[int, int],
        operations: list[tuple[tuple[m.Operation, ...], int]],
        parts: list[Part],
        now: Now,
    ) -> bytes:
        """Sign a bundle, send it for the first time, return its digest. `number`: (number, done_below);
        `operations`: see Bundles.make."""
        made = self._bundles.make(self._epoch, session, *number, operations, now)
        pause = self._latencies.first_timeout()
        flight = Flight(
            session=session,
            number=number[0],
            frame=made.frame,
            tally=Tally(made.request, made.operations, self._weak),
            parts=parts,
            first_sent=now.monotonic,
            retry_at=now.monotonic + pause,
            pause=pause,
            give_up_at=now.monotonic + made.valid_for,
        )
        self._flights.add(made.request, flight)
        primary = self._views.primary()
        if primary in self._reach.connected:
            self._actions.send.append((primary, made.frame))
        else:
            self._send_to_all(flight)
        return made.request

    def _send_again(self, flight: Flight, now: Now) -> None:
        """Send a bundle to all members: the backups must learn that the primary is silent (R34)."""
        if not flight.to_all:
            self._actions.send += self.questions.poll(self._reach.connected, now.monotonic, urgent=True)
        self._send_to_all(flight)
        pause = self._latencies.next_timeout(flight.pause)
        flight.retry_at = now.monotonic + pause
        flight.pause = min(2 * pause, RETRY_MAX)

    def _send_to_all(self, flight: Flight) -> None:
        flight.to_all = True
        self._actions.send += [(member, flight.frame) for member in sorted(self._reach.connected)]

    def _refuse_unsent(self, now: Now) -> None:
        """Refuse calls that were never sent and cannot be sent now: they did not happen (R14)."""
        lost, contradicted = self._reach.lacks(now.monotonic), self._contradicted()
        if lost or contradicted:
            for call in self._queue.unsent():
                code = CLUSTER_CONTRADICTION if contradicted else UNAVAILABLE
                self._complete(self._queue.give_up(call, code))

    def _contradicted(self) -> bool:
        """Whether f + 1 connected members report that certificates exclude each other (R24)."""
        statuses = self.questions.statuses
        said = [member for member in self._reach.connected if statuses[member].report.contradiction]
        return len(said) >= self._weak


_REPLY = m.KIND_OF[m.Reply]
_REPEAT = m.KIND_OF[m.Repeat]
_BUSY = m.KIND_OF[m.Busy]
_ANSWER = m.KIND_OF[m.Answer]
_JUDGED = m.KIND_OF[m.Judged]
