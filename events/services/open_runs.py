"""The runs that this process has judged now: one writer each, so a run has one order of events.

Judging waits for the members. So that threads and event loops can both wait, a call is a generator that
yields each future it waits for and is sent its result; `waited` and `awaited` drive it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import msgspec
from django.conf import settings

from dtvn.api.errors import ApiError
from dtvn.api.event_bodies import GivenEvents, RunBody, names_of
from dtvn.api.event_findings import EventVerdict, Findings, LocalFinding, Piece, local_finding
from dtvn.events.config import OFFERED, ORDERED, Algorithm
from dtvn.events.judging import CHUNK_EVENTS_MAX, AlgorithmNotOffered, Event
from dtvn.gateway import (
    CALL_EVENTS_MAX,
    VERDICT_WAIT,
    EventRun,
    GatewayFace,
    Judged,
    Recorded,
    RunEnd,
    RunIsLive,
    refused_by_members,
    refused_here,
)
from events.services import errors, excerpts
from events.services.answered_here import AnsweredHere, salted
from events.services.errors import judging
from validators.services.network import gateway

IDLE = 300.0
"""Seconds without a call after which a run is ended."""
PIECES_WAITING_MAX = 8_192
"""Most pieces of one run that wait to be written; beyond that the oldest are left out."""
CHUNKS_MAX = CALL_EVENTS_MAX // CHUNK_EVENTS_MAX + 2
"""Most chunks of one call, with those that differing votes add."""

Steps = Generator[Future[Any], Any, "Judgement"]
Done = TypeVar("Done")


class Judgement(msgspec.Struct):
    """The answer to one call of `OpenRun.judge`."""

    total: int
    """Number of the run's events after this call, with those that have no certificate."""
    pieces: list[Piece]
    verdicts: list[EventVerdict]
    """Verdicts on the events with a certificate, from the call's first event on."""
    salts: list[bytes]
    """Salts of these events that were judged in this call, 16 bytes each."""
    local: LocalFinding | None = None
    """Finding of this process on the events after them, which have no certificate; None if all have one."""
    here: list[Event] = []
    """The last of the call's events, of which no certificate covers the first."""


class _LastCall(msgspec.Struct):
    """The newest call, so that it may be repeated when its answer was lost."""

    start: int
    digest: bytes
    verdicts: list[EventVerdict]


class OpenRun:
    """A run that this process writes. `id` is that of its row, 0 before it has one."""

    def __init__(
        self, network: GatewayFace, wanted: RunBody, actor: str, here: AnsweredHere | None = None
    ) -> None:
        """`here`: None for a run whose callers get no verdict of this process alone."""
        self._events = network.events
        self.algorithm = chosen(network, wanted.algorithm)
        self.recorded = self.algorithm in ORDERED if wanted.recorded is None else wanted.recorded
        self.wanted = wanted
        self.actor = actor
        self.id = 0
        self.thread = self.run = ""
        self.touched = time.monotonic()
        self.changed = False
        """Whether the run has changed since its row was last written."""
        self.pieces: deque[Piece] = deque(maxlen=PIECES_WAITING_MAX)
        self.records: deque[Recorded] = deque()
        self.excerpts = excerpts.Excerpts()
        self.findings = Findings("", "")
        self.here = here or AnsweredHere()
        self.ending: Future[RunEnd] | None = None
        self.finishing = threading.Lock()
        """Held while the run's row is written for the last time."""
        self.writing = threading.Lock()
        """Held while its row is written: what waits is written once."""
        self._settling: Future[None] | None = None
        """Done when what waits was judged without a call, which calls wait for."""
        self._run: EventRun | None = None
        self._last: _LastCall | None = None
        self._busy = threading.Lock()

    def begin(self, first: bytes = b"") -> Generator[Future[Any], Any, EventRun]:
        """Begin the run in the gateway, under the wanted names, else those of the RUN_STARTED in `first`,
        else random ones; once an earlier run of these names that ends now has ended. Raises as `judging`
        does."""
        thread, name = names_of(first)
        names = (
            self.wanted.thread or thread or f"anonymous-{secrets.token_hex(8)}",
            self.wanted.run or name or f"run-{secrets.token_hex(8)}",
        )
        while isinstance(run := self._begun_or_awaited(*names), Future):
            yield run
        self._run, (self.thread, self.run) = run, names
        self.findings = Findings(*names)
        return run

    def _begun_or_awaited(self, thread: str, name: str) -> EventRun | Future[RunEnd]:
        """The run, or the end of an earlier one of its names, after which it may begin."""
        with judging():
            try:
                return self._events.begin(
                    thread,
                    name,
                    algorithm=self.algorithm,
                    drop_unknown=self.wanted.drop_unknown,
                    recorded=self.recorded,
                    on_recorded=self._on_recorded,
                    actor=self.actor,
                )
            except RunIsLive as error:
                if error.ended is None:
                    raise
                return error.ended

    def judge(self, given: GivenEvents, start: int | None = None) -> Steps:
        """Have the run's next events judged. `start`: index of the first one as the caller counts; the newest
        call repeated with the same events gives the same verdicts. Raises ApiError, Unavailable,
        InvalidRequest."""
        while not self._busy.acquire(blocking=False):
            if (settling := self._settling) is not None:
                yield settling
            elif self._busy.acquire(blocking=False):  # it ended between the two looks
                break
            else:
                raise _busy()
        try:
            return (yield from self._judge(given, start))
        finally:
            self.touched = time.monotonic()
            self._busy.release()

    def settle(self) -> Steps:
        """Have what waits judged, without a call; one that comes meanwhile waits. Raises as `judge`."""
        if not self._busy.acquire(blocking=False):
            raise _busy()
        settling: Future[None] = Future()
        self._settling = settling
        try:
            return (yield from self._judge(GivenEvents(()), None))
        finally:
            self._busy.release()
            self._settling = None
            settling.set_result(None)

    def _judge(self, given: GivenEvents, start: int | None) -> Steps:
        last = self._resumed(given, start)
        if given.texts:  # else what waits is judged, which no caller repeats
            self._last = last
        before = self.here.waiting  # they are judged first
        total = last.start + len(given.texts)
        events = [*before, *salted(given.texts, given.salts)]
        verdicts = [] if before else last.verdicts
        found = Judgement(total, [], last.verdicts, [])
        while (done := len(verdicts)) < len(events):
            part = events[done : done + CALL_EVENTS_MAX]
            run = self._run or (yield from self.begin(part[0].text))
            texts, salts = [each.text for each in part], [each.salt for each in part]
            with judging():
                future = run.judge(texts, salts=salts, wait=decision_timeout())
            judged: Judged = yield future
            pieces, new = self._take(judged, part)
            found.pieces += pieces
            found.salts += judged.salts[: len(new)]
            verdicts += new
            if len(new) < len(part):
                looked_at_all = done + len(part) == len(events)  # by the rules of this process
                if self.findings.denied is None and not (looked_at_all and allows_local_validation()):
                    code, text = self.findings.failure
                    raise errors.no_verdict(code, text)
                found.local = local_finding(judged, self.findings.events)
                break
        if before:
            last.verdicts[:] = verdicts[len(before) :]
        found.here = events[max(len(verdicts), len(before)) :]
        return found

    def _resumed(self, given: GivenEvents, start: int | None) -> _LastCall:
        digest = hashlib.sha256(b"".join(hashlib.sha256(text).digest() for text in given.texts)).digest()
        last, position = self._last, self.findings.events + len(self.here.waiting)
        if start is not None and last is not None and (last.start, last.digest) == (start, digest):
            return last
        if start is not None and start != position:
            raise ApiError(409, "not_next", f"The run goes on at event {position}, not at {start}.")
        return _LastCall(position, digest, [])

    def answer_here(self, found: Judgement) -> None:
        """The caller gets the finding of this process where no quorum has voted: the members owe a
        judgement."""
        if found.local is None or self.findings.denied is not None or self.findings.agreed:
            return
        position = found.total - len(found.here)
        refused = refused_here(found.local.violations)
        self.here.answer(found.here, {i: code for i, code in refused.items() if i >= position}, position)
        self.changed = True

    def _take(self, judged: Judged, events: Sequence[Event]) -> tuple[list[Piece], list[EventVerdict]]:
        position = self.findings.events
        pieces, verdicts = self.findings.take(judged)
        certified = [violation for each in verdicts for violation in each.violations]
        covered = events[: len(verdicts)]
        self.excerpts.take(position, [each.text for each in covered], certified)
        self.here.certify(covered, refused_by_members(judged.pieces) if self.here.codes else {}, position)
        self.pieces.extend(pieces)
        self.changed = True
        return pieces, verdicts

    def end(self) -> Future[RunEnd] | None:
        """Begin to end the run; returns the future of its end, None for a run that never began."""
        if self.ending is None and self._run is not None:
            with judging():
                self.ending = self._run.end()
        return self.ending

    def ended(self) -> Generator[Future[Any], Any, None]:
        """End the run, and wait for its end."""
        if (future := self.end()) is not None:
            yield future

    def idle(self) -> bool:
        """Whether no call came for IDLE seconds."""
        return not self._busy.locked() and time.monotonic() - self.touched > IDLE

    def waiting(self) -> tuple[list[Piece], list[Recorded]]:
        """Take the pieces and records that are not written yet; the caller writes them."""
        self.changed = False
        pieces = [self.pieces.popleft() for _ in range(len(self.pieces))]
        return pieces, [self.records.popleft() for _ in range(len(self.records))]

    def put_back(self, pieces: list[Piece], records: list[Recorded]) -> None:
        """Take back pieces and records that could not be written; of too many pieces the oldest are lost."""
        too_many = len(pieces) + len(self.pieces) - PIECES_WAITING_MAX
        self.pieces.extendleft(reversed(pieces[max(too_many, 0) :]))
        self.records.extendleft(reversed(records))
        self.changed = True

    def _on_recorded(self, record: Recorded) -> None:
        self.records.append(record)
        self.changed = True


def _busy() -> ApiError:
    return ApiError(409, errors.RUN_BUSY, "An earlier call of this run is not answered yet.")


@contextmanager
def in_turn(thread: str) -> Iterator[None]:
    """Waits until no earlier sequence of this thread is judged in this process, and holds up later ones until
    the block ends. Raises as `judging` does."""
    with ExitStack() as stack:
        with judging():
            stack.enter_context(gateway().events.queues.place(thread)).result(_hangs_after())
        yield


def chosen(network: GatewayFace, algorithm: str | None) -> Algorithm:
    """The algorithm of a run; raises ApiError (422) if the cluster does not offer it."""
    offered = network.events.offered()
    wanted = algorithm or default_algorithm(network)
    config = settings.EVENTS_CONFIG
    if wanted not in offered:
        with judging():
            if wanted in OFFERED:
                network.events.rule(Algorithm(wanted))  # names what prevents it
            raise AlgorithmNotOffered(wanted, offered)
    if wanted == Algorithm.MAJORITY and config is not None and config.consensus_config.require_unanimous:
        return Algorithm.UNANIMOUS
    return Algorithm(wanted)


def default_algorithm(network: GatewayFace) -> Algorithm:
    """The algorithm of a run that names none: the configured one, else that of the cluster's log."""
    if settings.EVENTS_CONFIG is not None:
        return settings.EVENTS_CONFIG.consensus_config.algorithm  # type: ignore[no-any-return]
    return Algorithm(network.present.mode.value)


def decision_timeout() -> float:
    """Seconds after which a chunk is decided with the votes at hand."""
    return VERDICT_WAIT if settings.EVENTS_CONFIG is None else settings.EVENTS_CONFIG.decision_timeout


def allows_local_validation() -> bool:
    """Whether this process answers its own finding where no quorum judged."""
    config = settings.EVENTS_CONFIG
    return config is None or config.partition_handler.allow_local_validation


def _hangs_after() -> float:
    """Seconds for one future: those of the longest call if each of its chunks is decided as late as
    possible."""
    return decision_timeout() * CHUNKS_MAX


def waited(steps: Generator[Future[Any], Any, Done]) -> Done:
    """Run a call in this thread; returns its result. Raises as `judging` does."""
    result: Any = None
    try:
        while True:
            with judging():
                result = steps.send(result).result(_hangs_after())
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        steps.close()


async def awaited(steps: Generator[Future[Any], Any, Done]) -> Done:
    """Run a call in this event loop; returns its result. Raises as `judging` does."""
    result: Any = None
    try:
        while True:
            with judging():
                async with asyncio.timeout(_hangs_after()):  # wait_for may lose a cancellation
                    result = await asyncio.wrap_future(steps.send(result))
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        steps.close()
