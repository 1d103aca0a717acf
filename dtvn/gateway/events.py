"""`Gateway.events`: callers' threads on one side, the gateway's thread with EventRuns on the other. I/O.

A lock guards the runs: callers begin runs and hand in events under it, the gateway's thread lets them go on.
Futures and callbacks are told outside of it, so that they may call again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Protocol

from dtvn.events.asking import EVENT_BYTES_MAX
from dtvn.events.config import Algorithm, ConsensusConfig
from dtvn.events.judging import SALT_SIZE, DecisionRule, Electorate, Event, Promise
from dtvn.gateway.calls import Overloaded, Result
from dtvn.gateway.event_figures import EventCounts
from dtvn.gateway.event_runs import EventActions, EventRuns, LiveRun
from dtvn.gateway.events_face import (
    CALL_EVENTS_MAX,
    VERDICT_WAIT,
    EventFigures,
    Judged,
    Recorded,
    RunEnd,
    RunEnded,
    RunIsLive,
    RunPlace,
    VoteEvidenceFile,
)
from dtvn.gateway.thread_queues import ThreadQueues
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.messages import Operation

__all__ = ["GatewayEvents", "OpenRun"]

logger = logging.getLogger(__name__)

SECOND = 1_000_000_000
RECORD_WAIT = 5.0
"""Seconds for the outcome of records; unknown ones are asked for again."""

OnRecorded = Callable[[Recorded], None]


class Owner(Protocol):
    """What judging needs of the gateway, and the clock of its thread."""

    def attend(self) -> None:
        """Make the gateway's thread take a turn; raises GatewayClosed."""

    def now(self) -> int:
        """Monotonic nanoseconds."""

    def submit(
        self, operations: Sequence[Operation], *, wait: float = RECORD_WAIT
    ) -> Future[tuple[Result, ...]]: ...


class OpenRun:
    """See events_face.EventRun."""

    def __init__(self, events: GatewayEvents, live: LiveRun) -> None:
        self._events = events
        self.live = live
        self.thread = live.track.point.thread
        self.run = live.track.point.run
        self.algorithm = live.algorithm
        self.ended: Future[RunEnd] | None = None
        self.on_recorded: OnRecorded | None = None

    @property
    def position(self) -> int:
        """See events_face.EventRun."""
        return self.live.position

    @property
    def place(self) -> RunPlace:
        """See events_face.EventRun."""
        return self._events.place(self)

    def judge(
        self, texts: Sequence[bytes], *, salts: Sequence[bytes] = (), wait: float = VERDICT_WAIT
    ) -> Future[Judged]:
        """See events_face.EventRun."""
        return self._events.judge(self, _with_salts(texts, salts), wait)

    def end(self, *, wait: float = VERDICT_WAIT) -> Future[RunEnd]:
        """See events_face.EventRun."""
        return self._events.end(self, wait)


class GatewayEvents:
    """See events_face.Events."""

    def __init__(self, electorate: Electorate, owner: Owner, config: ConsensusConfig | None = None) -> None:
        self.on_evidence: Callable[[], None] | None = None
        """See events_face.Events."""
        self._owner = owner
        self._runs = EventRuns(electorate, config=config)
        self._lock = threading.Lock()
        self._open: dict[int, OpenRun] = {}
        self._calls: dict[int, tuple[Future[Judged], int]] = {}
        """Answer and time of the beginning of each open call."""
        self._counts = EventCounts()
        self._outcomes: list[tuple[int, Future[tuple[Result, ...]] | None]] = []
        """(number, outcomes) of submitted records; None in place of outcomes if they could not be
        submitted."""
        self.queues = ThreadQueues()
        """See events_face.Events."""
        self._closed: Exception | None = None
        self._woken = False
        """Whether the gateway's thread was woken and has not taken its turn yet."""

    # --- any thread ------------------------------------------------------------------------------

    def offered(self) -> tuple[Algorithm, ...]:
        """See events_face.Events."""
        with self._lock:
            return self._runs.offered

    def promises(self) -> dict[str, Promise]:
        """See events_face.Events."""
        with self._lock:
            return self._runs.promises

    def rule(self, algorithm: Algorithm | None = None) -> DecisionRule:
        """See events_face.Events."""
        with self._lock:
            return self._runs.rule(algorithm)

    def begin(
        self,
        thread: str,
        run: str,
        *,
        algorithm: Algorithm | None = None,
        drop_unknown: bool = False,
        recorded: bool | None = None,
        on_recorded: OnRecorded | None = None,
        event: str = "default",
        actor: str = "events",
        place: RunPlace | None = None,
    ) -> OpenRun:
        """See events_face.Events."""
        with self._lock:
            self._check_open()
            try:
                live = self._runs.begin(
                    thread,
                    run,
                    algorithm=algorithm,
                    drop_unknown=drop_unknown,
                    recorded=recorded,
                    event=event,
                    actor=actor,
                    place=place,
                )
            except RunIsLive as error:
                names = thread, run
                error.ended = next(
                    each.ended for each in self._open.values() if (each.thread, each.run) == names
                )
                raise
            opened = self._open[live.number] = OpenRun(self, live)
            opened.on_recorded = on_recorded
        return opened

    def live(self) -> int:
        """See events_face.Events."""
        return len(self._runs)

    def figures(self) -> EventFigures:
        """See events_face.Events."""
        with self._lock:
            asker = self._runs.questions.asker
            asker.give_up(self._owner.now())
            return self._counts.figures(len(self._runs), asker)

    def evidence(self) -> tuple[VoteEvidenceFile, ...]:
        """See events_face.Events."""
        return self._runs.questions.evidence

    def place(self, run: OpenRun) -> RunPlace:
        """See events_face.EventRun."""
        with self._lock:
            return run.live.place

    def judge(self, run: OpenRun, events: Sequence[Event], wait: float) -> Future[Judged]:
        """See events_face.EventRun."""
        future: Future[Judged] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            self._check_open()
            if run.ended is not None:
                raise RunEnded(f"run {run.run!r} of thread {run.thread!r} has ended")
            now = self._owner.now()
            call = self._runs.judge(run.live.number, events, now, wait=int(wait * SECOND))
            self._calls[call] = future, now
        self._wake()
        return future

    def end(self, run: OpenRun, wait: float) -> Future[RunEnd]:
        """See events_face.EventRun."""
        with self._lock:
            if run.ended is not None:
                return run.ended
            self._check_open()
            run.ended = Future()
            run.ended.set_running_or_notify_cancel()
            self._runs.end(run.live.number, self._owner.now(), wait=int(wait * SECOND))
        self._wake()
        return run.ended

    # --- the gateway's thread --------------------------------------------------------------------

    def deadline(self) -> int | None:
        """Monotonic nanoseconds at which `turn` is due even if nothing arrives; None if never."""
        with self._lock:
            return 0 if self._outcomes else self._runs.deadline()

    def enter(self, electorate: Electorate) -> None:
        """Begin the next epoch, of these members; see EventRuns.enter."""
        with self._lock:
            self._runs.enter(electorate, self._owner.now())

    def turn(
        self, judged: Sequence[tuple[int, bytes]], connected: frozenset[int], now: Now
    ) -> list[tuple[int, bytes]]:
        """Handle what members sent, (member, encoded Judged) each. Returns what to send: (member, body of a
        Judge) each."""
        with self._lock:
            self._woken = False
            self._runs.connected(connected)
            known = self.evidence()
            for member, body in judged:
                self._runs.receive(member, body)
            outcomes, self._outcomes = self._outcomes, []
            for number, future in outcomes:
                self._runs.outcomes(number, _results(future), now.monotonic)
            self._runs.tick(now.monotonic)
            actions = self._runs.take(now.monotonic)
        if self.evidence() != known and self.on_evidence is not None:
            self.on_evidence()
        self._tell(actions, now.monotonic)
        for number, operations in actions.submit:
            self._submit(number, operations)
        return actions.send

    def close(self, error: Exception) -> None:
        """Fail all open calls and the ends of all runs with `error`, which later calls raise."""
        with self._lock:
            self._closed = error
            futures: list[Future[Judged] | Future[RunEnd]] = [future for future, _ in self._calls.values()]
            for run in self._open.values():
                run.ended = run.ended or Future()
                futures.append(run.ended)
            self._calls.clear()
            self._open.clear()
        for future in futures:
            _fail(future, error)

    def _wake(self) -> None:
        """Wake the gateway's thread, once before each of its turns."""
        with self._lock:
            woken, self._woken = self._woken, True
        if not woken:
            self._owner.attend()

    def _check_open(self) -> None:
        if self._closed is not None:
            raise self._closed

    def _tell(self, actions: EventActions, now: int) -> None:
        with self._lock:
            answered = []
            for call, judged in actions.judged:
                future, begun = self._calls.pop(call)
                self._counts.add(judged, (now - begun) / SECOND)
                answered.append((future, judged))
            heard = [(self._open[number].on_recorded, each) for number, each in actions.recorded]
            ended = [(self._open.pop(number).ended, end) for number, end in actions.ended]
        for future, judged in answered:
            future.set_result(judged)
        for callback, recorded in heard:
            if callback is not None:
                try:
                    callback(recorded)
                except Exception:
                    logger.exception("a callback for records failed")
        for over, end in ended:
            if over is not None:
                over.set_result(end)

    def _submit(self, number: int, operations: tuple[Operation, ...]) -> None:
        try:
            future = self._owner.submit(operations, wait=RECORD_WAIT)
        except (Overloaded, ValueError):
            self._outcomes.append((number, None))
            return

        def known(done: Future[tuple[Result, ...]]) -> None:
            with self._lock:
                self._outcomes.append((number, done))

        future.add_done_callback(known)


def _with_salts(texts: Sequence[bytes], salts: Sequence[bytes]) -> list[Event]:
    """The events of these texts; raises ValueError."""
    if not 0 < len(texts) <= CALL_EVENTS_MAX:
        raise ValueError(f"texts: {len(texts)} events, not 1 to {CALL_EVENTS_MAX}")
    longest = max(map(len, texts))
    if longest > EVENT_BYTES_MAX:
        raise ValueError(f"texts: an event of {longest} bytes; members judge up to {EVENT_BYTES_MAX}")
    if not salts:
        drawn = os.urandom(SALT_SIZE * len(texts))
        salts = [drawn[at : at + SALT_SIZE] for at in range(0, len(drawn), SALT_SIZE)]
    if len(salts) != len(texts) or any(len(salt) != SALT_SIZE for salt in salts):
        raise ValueError(f"salts: one of {SALT_SIZE} bytes for each event")
    return [Event(salt, text) for salt, text in zip(salts, texts, strict=True)]


def _results(future: Future[tuple[Result, ...]] | None) -> tuple[Result, ...] | None:
    return None if future is None or future.exception() is not None else future.result()


def _fail(future: Future[Judged] | Future[RunEnd], error: Exception) -> None:
    with suppress(InvalidStateError):  # answered in the same moment
        future.set_exception(error)
