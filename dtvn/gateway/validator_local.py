"""What a validator does while too few members answer: the rules judge here, and the members owe it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from dtvn.events.balancing import BreakerError
from dtvn.events.config import Algorithm, CircuitBreakerConfig, PartitionHandlerConfig, RecoveryStrategy
from dtvn.events.judging import SALT_SIZE, decode_certificate, next_head
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits, Violation
from dtvn.files.kept import FolderError
from dtvn.gateway.calls import Overloaded
from dtvn.gateway.events_face import STATE_DIFFERS, EventRun, Judged, RunEnded, RunIsLive, RunPlace
from dtvn.gateway.face import GatewayFace
from dtvn.gateway.owed import (
    OwedEvent,
    OwedRun,
    OwedSummary,
    SettledRun,
    differences,
    is_final,
    refused_by_members,
    refused_here,
)
from dtvn.gateway.owed_queue import OwedCounts, OwedQueue, OwedRefused
from dtvn.gateway.owed_settler import Settler
from dtvn.gateway.steps import Steps, waited
from dtvn.gateway.thread_queues import ThreadQueues
from dtvn.gateway.validator_answers import (
    Metrics,
    Owing,
    ValidationResult,
    Wanted,
    failed,
    failure_of,
    followed,
    joined,
    local_result,
    result_of,
)
from dtvn.gateway.validator_nodes import ValidatorError
from dtvn.gateway.validator_runs import Named, RunJudging

OWN = "run"
"""Name of the queue of those who use the run of `validate_event`: its callers, and who settles its events."""
RECENT_MAX = 8_192
RECENT_BYTES_MAX = 4 * 1024 * 1024
"""Certified events, and bytes of their texts, that are kept until the log has them. Beyond that the log does
not take this run, or is far behind, and what is owed of it would be judged without being recorded."""
DROPPED = "The recovery strategy reset drops what is judged in this process alone"
OnSettled = Callable[[SettledRun], None]

logger = logging.getLogger(__name__)


class LocalJudging(RunJudging):
    """Judges in this process, keeps what is owed, and has the members judge it later."""

    def __init__(
        self,
        gateway: GatewayFace,
        algorithm: Algorithm | None,
        actor: str,
        wait: float,
        partitions: PartitionHandlerConfig,
        breaker: CircuitBreakerConfig,
        owed_folder: Path | None,
        on_settled: OnSettled | None,
    ) -> None:
        """See the validator."""
        super().__init__(gateway, algorithm, actor, wait, partitions, breaker)
        self._owed_folder = owed_folder
        self._on_settled = on_settled
        self._queue: OwedQueue | None = None
        """None: it is in a folder, and this validator does not run."""
        self._settler: Settler | None = None
        self._turns = ThreadQueues()
        self._forget_own_run()
        self._drops = partitions.recovery_strategy is RecoveryStrategy.RESET
        """Whether what is judged here alone is dropped, not owed."""
        self._partitions.owing.append(self._owes_nothing)

    # --- life ------------------------------------------------------------------------------------

    def _open_queue(self) -> None:
        """Begin to have judged what is owed. Raises ValidatorError if the folder cannot be used."""
        self._forget_own_run()
        if self._queue is None:
            try:
                self._queue = OwedQueue(self._owed_folder)
            except FolderError as error:
                raise ValidatorError(str(error)) from error
        self._settler = Settler(self._queue, self._reaches_quorum, self._settle, self._all_settled)
        if self._queue.has_waiting():
            self._settler.wake()

    def _close_queue(self) -> Steps[None]:
        """Let the thread end, after the owed run that it is at; what is left in a folder waits there."""
        settler, self._settler = self._settler, None
        queue = self._queue
        if settler is not None:
            settler.stop()
            try:
                yield settler.ended
            finally:
                if queue is not None and queue.durable:
                    self._queue = None
                    settler.ended.add_done_callback(lambda _ended: queue.close())

    def _forget_own_run(self) -> None:
        """Let the next call of `validate_event` begin a run."""
        self._run: EventRun | None = None
        self._run_algorithm: Algorithm | None = None
        """The algorithm that it was to have; the cluster may decide majority as unanimous."""
        self._rules = RuledRun(Limits())
        """The rules over its events that have a verdict, of the members or of this process."""
        self._recent: deque[OwedEvent] = deque()
        """Its certified events that its place, from which another process would go on, does not cover."""
        self._recent_gone = False
        """Whether they were too many, and are no longer kept."""
        self._head = b""
        """Its head after the newest certificate."""
        self._own_id = 0
        """Id of the owed run with its newest events; 0: the members have judged them all."""
        self._own_next = 0
        """Index of the event after these."""
        self._own_judged: Judged | None = None
        """What the members said to these so far."""
        self._own_alone = False
        """Whether its newest events were judged here alone and are to be dropped, and the run with them."""

    # --- what is owed, and what was --------------------------------------------------------------

    def get_owed(self) -> list[OwedSummary]:
        """The runs for which the members owe a judgement, in the order in which they will give it. Raises
        ValidatorError unless it is running, or keeps them in memory."""
        return self._opened_queue().waiting()

    def get_settled(self) -> list[SettledRun]:
        """The owed runs that the members have judged, with both verdicts: the newest owed_queue.SETTLED_MAX
        that were not forgotten. Raises as `get_owed`."""
        return self._opened_queue().settled()

    def forget_settled(self, owed_id: int) -> None:
        """Keep one of them no longer. Raises as `get_owed`."""
        self._opened_queue().forget(owed_id)

    def get_metrics(self) -> Metrics:
        """Counts and means of all calls so far."""
        queue = self._queue
        counts = OwedCounts() if queue is None else queue.counts()
        return msgspec.structs.replace(
            super().get_metrics(),
            owed=counts.results,
            owed_settled=counts.settled,
            owed_differences=counts.differences,
        )

    def _opened_queue(self) -> OwedQueue:
        if self._queue is None:
            raise ValidatorError(f"the queue of owed judgements in {self._owed_folder} is open while it runs")
        return self._queue

    # --- judging here ----------------------------------------------------------------------------

    def _judge_here(self, events: Sequence[bytes], wanted: Wanted, *, whole: bool) -> Steps[ValidationResult]:
        """Judge by the rules in this process, because no quorum answers; `whole`: the events are a whole
        run. Raises OwedRefused if the queue has no place for events that others are to follow."""
        if not self._partitions.get_config().allow_local_validation:
            return failed("DISTRIBUTED_PARTITION", "Too few members are reached to decide.", len(events))
        if whole:
            return self._sequence_here(events, wanted)
        with self._turns.place(OWN) as first:
            yield first
            live = yield from self._live(wanted, events[0])
            return self._events_here(live, events)

    def _sequence_here(self, events: Sequence[bytes], wanted: Wanted) -> ValidationResult:
        begun, named = time.monotonic(), self._named(wanted, events[0])
        found, owed = _judged_here(RuledRun(Limits()), 0, events)
        if self._drops:
            return self._local_result(found, len(events), begun, 0, DROPPED)
        number, refusal = 0, ""
        try:
            number = self._owe(named, owed)
        except OwedRefused as error:
            refusal = _sentence(error)
        return self._local_result(found, len(events), begun, number, refusal)

    def _events_here(self, live: EventRun, events: Sequence[bytes]) -> ValidationResult:
        begun = time.monotonic()
        index = self._own_next if self._own_id else live.position
        rules = self._rules.copy()  # refused a place, they have no verdict
        found, owed = _judged_here(rules, index, events)
        if self._drops:
            self._rules, self._own_alone = rules, True
            return self._local_result(found, len(events), begun, 0, DROPPED)
        if self._own_id:
            self._extend(self._own_id, owed)
        else:
            self._own_id, self._own_judged = self._owe(self._resumed(live), [*self._recent, *owed]), None
        self._rules, self._own_next = rules, index + len(owed)
        return self._local_result(found, len(events), begun, self._own_id, "")

    def _resumed(self, live: EventRun) -> Named:
        """How another process would go on with the run, from the first of `_recent` on."""
        self._forget_covered(live)
        place, recorded = live.place, self._recorded
        if self._recent_gone:
            place, recorded = RunPlace(live.position, self._rules.state, self._head), False
        return Named(live.thread, live.run, self._run_algorithm, recorded, place)

    def _extend(self, number: int, events: Sequence[OwedEvent]) -> None:
        """Store the next events of an owed run. Raises OwedRefused."""
        self._queue_of_place().extend(number, events)
        self._wake()

    def _queue_of_place(self) -> OwedQueue:
        if self._queue is None:
            raise OwedRefused("the validator was stopped")
        return self._queue

    def _owe(self, named: Named, events: Sequence[OwedEvent]) -> int:
        """Store a run for the members to judge. Returns its id; raises OwedRefused."""
        number = self._queue_of_place().add(
            OwedRun(
                0,
                named.thread,
                named.run,
                named.algorithm or "",
                named.recorded,
                named.place,
                datetime.now(UTC),
                tuple(events),
            )
        )
        self._wake()
        return number

    def _wake(self) -> None:
        if self._settler is not None:
            self._settler.wake()

    def _local_result(
        self, found: Sequence[Violation], events: int, begun: float, number: int, refusal: str
    ) -> ValidationResult:
        spent = time.monotonic() - begun
        self._meter.local.add(spent)
        owing = Owing.ON_DISK if self._owed_folder is not None else Owing.IN_MEMORY
        return local_result(
            found,
            events,
            spent,
            owing=Owing.REFUSED if refusal else owing,
            owed_id=number,
            refusal=refusal,
        )

    # --- the run of validate_event ---------------------------------------------------------------

    def _live(self, wanted: Wanted, first: bytes) -> Steps[EventRun]:
        """The run that the call goes on with, or which `first` begins under its own names: what is owed of it
        is known by these."""
        if self._run is None:
            named = self._named(wanted, first)
            try:
                self._run = yield from self._begin(named)
            except RunIsLive:  # another validator of this gateway has a run of these names
                named = self._named(wanted)
                self._run = yield from self._begin(named)
            self._run_algorithm, self._head = named.algorithm, self._run.place.head
        elif wanted.algorithm and self._chosen(wanted) not in (self._run_algorithm, self._run.algorithm):
            raise RunIsLive(f"the run is judged by {self._run.algorithm}; `stop` ends it")
        return self._run

    def _judge_next(self, events: Sequence[bytes], wanted: Wanted) -> Steps[Judged]:
        """Have the run's next events judged; they get no verdict before the earlier ones have one."""
        while self._own_id and self._settler is not None:
            settled: bool = yield self._settler.hurry(self._own_id)
            if not settled and self._own_judged is not None:
                return followed(self._own_judged, len(events))
        with self._turns.place(OWN) as first:
            yield first
            if self._own_id:
                raise Overloaded("earlier events of this run wait for the members' judgement")
            if self._own_alone and self._run is not None:
                ended = self._run.end(wait=self._wait)
                self._forget_own_run()
                yield ended
            live = yield from self._live(wanted, events[0])
            return (yield from self._guarded(self._certified_next(live, events)))

    def _certified_next(self, live: EventRun, events: Sequence[bytes]) -> Steps[Judged]:
        judged: Judged = yield live.judge(events, wait=self._wait)
        if judged.certified:
            for text in events:
                self._rules.feed(text)
        pairs = zip(judged.salts, events, strict=True)
        self._keep_certified(
            judged, [OwedEvent(i, *each, None) for i, each in enumerate(pairs, judged.position)]
        )
        self._forget_covered(live)
        return judged

    def _keep_certified(self, judged: Judged, events: Sequence[OwedEvent]) -> None:
        """Keep those of the events that `judged` certifies, until the run's place covers them."""
        until = judged.position
        for piece in judged.pieces:
            if piece.certificate:
                until = piece.position + piece.count
                self._head = next_head(self._head, decode_certificate(piece.certificate).vote)
        if not self._recent_gone:
            self._recent.extend(each for each in events if judged.position <= each.index < until)

    def _forget_covered(self, live: EventRun) -> None:
        covered = live.place.position
        while self._recent and self._recent[0].index < covered:
            self._recent.popleft()
        size = sum(len(each.text) for each in self._recent)
        if len(self._recent) > RECENT_MAX or size > RECENT_BYTES_MAX:
            self._recent_gone = True
            self._recent.clear()

    # --- the members' judgement ------------------------------------------------------------------

    def _reaches_quorum(self) -> bool:
        return not self._alone()

    def _owes_nothing(self) -> bool:
        """Whether nothing is owed: then a recovery by merge is over."""
        return self._queue is None or not self._queue.has_waiting()

    def _all_settled(self) -> None:
        """Nothing is owed any more."""
        self._partitions.wake()

    def _settle(self, number: int) -> bool:
        """Have an owed run judged, in the settler's thread. Returns whether it waits no more."""
        # Each future is answered, at the latest when the gateway is closed.
        done, settled = waited(self._settled(number), threading.TIMEOUT_MAX)
        if settled is not None and self._on_settled is not None:
            try:
                self._on_settled(settled)
            except Exception:
                logger.exception("a callback for settled runs failed")
        return done

    def _settled(self, number: int) -> Steps[tuple[bool, SettledRun | None]]:
        """Have an owed run judged, and store what the members said in its place. Returns (whether it waits no
        more, the run as they judged it, if they did so now)."""
        begun = time.monotonic()
        with self._turns.place(OWN if number == self._own_id else "") as first:
            yield first
            queue = self._opened_queue()
            owed = queue.find(number)
            if owed is None:
                return True, None
            try:
                judged = yield from self._guarded(self._judge_owed(owed))
            except (RunIsLive, RunEnded, BreakerError):
                raise  # later
            except ValueError as error:  # the cluster does not decide so
                result = failure_of(error, len(owed.events), time.monotonic() - begun)
                settled = _settled(owed, 0, {}, result)
            else:
                if not _final(judged):
                    return False, None
                result = result_of(judged, len(judged.salts), time.monotonic() - begun)
                settled = _settled(owed, judged.position, refused_by_members(judged.pieces), result)
            queue.settle(settled)
            if settled.differs:
                logger.warning("the members judge run %r of thread %r otherwise", owed.run, owed.thread)
            if number == self._own_id:
                self._own_id, self._own_judged = 0, None
            return True, settled

    def _judge_owed(self, owed: OwedRun) -> Steps[Judged]:
        """What the members say to an owed run: in the run of `validate_event` if it is its own, so that
        this one goes on, else in one that begins where it stood."""
        if owed.id != self._own_id or self._run is None:
            algorithm = Algorithm(owed.algorithm) if owed.algorithm else None
            named = Named(owed.thread, owed.run, algorithm, owed.recorded, owed.place)
            texts, salts = _texts_and_salts(owed.events)
            return (yield from self._judge_run(named, texts, salts))
        live, earlier = self._run, self._own_judged
        texts, salts = _texts_and_salts([each for each in owed.events if each.index >= live.position])
        if not texts and earlier is not None:
            return earlier
        judged = yield from self._judge_all(live, texts, salts)
        self._keep_certified(judged, [msgspec.structs.replace(each, here=None) for each in owed.events])
        self._own_judged = judged if earlier is None else joined(_certified_part(earlier), judged)
        return self._own_judged


def _judged_here(
    rules: RuledRun, index: int, events: Sequence[bytes]
) -> tuple[list[Violation], list[OwedEvent]]:
    """What the rules find in these events, the first of which has this index, and the events to be stored."""
    drawn = os.urandom(SALT_SIZE * len(events))
    found: list[Violation] = []
    owed: list[OwedEvent] = []
    for number, text in enumerate(events):
        violations = rules.judge(text, index + number)
        code = refused_here(violations).get(index + number, "")
        salt = drawn[number * SALT_SIZE : (number + 1) * SALT_SIZE]
        owed.append(OwedEvent(index + number, salt, text, code))
        found += violations
    return found, owed


def _settled(owed: OwedRun, position: int, members: dict[int, str], result: ValidationResult) -> SettledRun:
    """The owed run with the members' `result` on its events from `position` on."""
    judged = [each for each in owed.events if each.index >= position]
    here = {each.index: each.here for each in judged if each.here}
    asked = [each.index for each in judged if each.here is not None]
    return SettledRun(
        owed.id,
        owed.thread,
        owed.run,
        owed.made,
        datetime.now(UTC),
        position,
        tuple(each.text for each in judged),
        here,
        result,
        differences(here, members, asked) if result.pieces else (),
    )


def _final(judged: Judged) -> bool:
    """Whether the same question would get the same answer: certificates cover all, or all members that were
    asked have voted, a quorum of them, or the rules' states differ."""
    if judged.certified or any(piece.code == STATE_DIFFERS for piece in judged.pieces):
        return True
    last = judged.pieces[-1] if judged.pieces else None
    return last is not None and not last.certificate and is_final(last, last.quorum)


def _certified_part(judged: Judged) -> Judged:
    """The answer about the first events, those with certificates, alone."""
    pieces = tuple(piece for piece in judged.pieces if piece.certificate)
    count = sum(piece.count for piece in pieces)
    found = tuple(each for each in judged.violations if each.index < judged.position + count)
    return msgspec.structs.replace(judged, pieces=pieces, violations=found, salts=judged.salts[:count])


def _texts_and_salts(events: Sequence[OwedEvent]) -> tuple[list[bytes], list[bytes]]:
    return [each.text for each in events], [each.salt for each in events]


def _sentence(error: Exception) -> str:
    said = str(error)
    return said[:1].upper() + said[1:]
