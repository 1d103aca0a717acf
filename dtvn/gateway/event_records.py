"""What of one run is certified and not in the ordered log yet: batches it, and learns what came of it. Pure.

Once a second what has gathered is recorded. Many small chunks are first asked again as one, which members
answer as before, since votes are pure functions; large ones are recorded with the certificate that they have.
A record whose epoch has ended is asked again in the next one: its head stays the same, for it covers the vote
and not who signed it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from dtvn.events.asking import CHUNK_BYTES_MAX
from dtvn.events.judging import (
    CHUNK_EVENTS_MAX,
    Event,
    RunPoint,
    decode_certificate,
    next_head,
)
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits, state_digest
from dtvn.gateway.calls import Result
from dtvn.gateway.event_chunks import Chunk, Settled, Track
from dtvn.gateway.events_face import Recorded, RunPlace
from dtvn.machine import Record, build, reasons
from dtvn.machine.rows import RunRow
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation

EVERY = 1_000_000_000
"""Nanoseconds for which certified events are gathered before they are recorded."""
GATHERED_MAX = 4_096
GATHERED_BYTES_MAX = 1024 * 1024
"""Events and bytes after which they are recorded at once."""
LARGE = 64
"""Events of a chunk from which on it is recorded as it is."""
AT_ONCE = 64
"""Most records of one run in one call."""
BACKLOG_MAX = 8_192
BACKLOG_BYTES_MAX = 4 * 1024 * 1024
"""Events and bytes that wait for the log, beyond which the run's next chunk waits too."""
VALID = 10_000_000
"""Microseconds for which the operations are valid."""
AGAIN = frozenset(
    {reasons.BUSY, reasons.EXPIRED, reasons.TOO_FAR_AHEAD, reasons.OUTCOME_UNKNOWN, *reasons.NOT_SENT}
)
"""Outcomes after which the same record is tried again."""
NO_EPOCH = -1


class Names(msgspec.Struct, frozen=True):
    """What the records of a run say besides its chunks."""

    thread: str
    run: str
    rules: bytes
    drop_unknown: bool
    event: str
    actor: str
    entry: str


class _Item(msgspec.Struct, frozen=True):
    """A certificate to be recorded, and where the run stands afterwards."""

    settled: Settled
    place: RunPlace


class Recorder:
    """The records of one run. `place`: after what the log has."""

    def __init__(self, names: Names, place: RunPlace, limits: Limits) -> None:
        self.place = place
        self.code = ""
        """Outcome code that ended recording for good; "": none did."""
        self.last = ""
        """Outcome code of the newest record."""
        self.chunk: Chunk | None = None
        """Chunks that are asked again as one."""
        self.flying = False
        """Whether records were submitted whose outcome is not known yet."""
        self._names = names
        self._limits = limits
        self._waiting: deque[Settled] = deque()
        self._events = self._bytes = 0
        self._items: list[_Item] = []
        """Certificates of the present epoch, to be recorded next, in order."""
        self._due: int | None = None

    @property
    def idle(self) -> bool:
        """Whether the log has everything, or nothing more will be recorded."""
        return bool(self.code) or not (self._waiting or self._items or self.chunk or self.flying)

    @property
    def outcome(self) -> str:
        """See events_face.RunEnd.code, as if the run ended now."""
        code = self.code or self.last
        if self.idle or code not in ("", reasons.OK):
            return code
        return reasons.OUTCOME_UNKNOWN if self.flying else reasons.UNAVAILABLE

    @property
    def full(self) -> bool:
        """Whether too much waits for the log."""
        return not self.code and (self._events > BACKLOG_MAX or self._bytes > BACKLOG_BYTES_MAX)

    def add(self, settled: Settled, now: int) -> None:
        """A piece has its certificate."""
        if self.code:
            return
        self._waiting.append(settled)
        self._events += len(settled.events)
        self._bytes += _size(settled.events)
        if self._due is None:
            self._due = now + EVERY
        if self._events >= GATHERED_MAX or self._bytes >= GATHERED_BYTES_MAX:
            self._due = min(self._due, now)

    def hurry(self, now: int) -> None:
        """The run ends: record now."""
        if self._due is not None:
            self._due = min(self._due, now)

    def deadline(self) -> int | None:
        """When `plan` has something to do, monotonic nanoseconds."""
        return None if self.chunk is not None or self.flying or self.code else self._due

    def plan(self, epoch: int, now: int) -> Chunk | None:
        """Make items of what waits, if it is time. A Chunk: it must be asked first, then `merged` be
        called."""
        if self.chunk is not None or self.flying or self.code or self._due is None or now < self._due:
            return None
        while self._waiting and len(self._items) < AT_ONCE:
            span = self._span(epoch)
            if len(span) > 1 or span[0].piece.epoch != epoch:
                if self._items:
                    break  # these first
                return self._merge(span)
            self._take(span[0])
        return None

    def merged(self, settled: Sequence[Settled]) -> None:
        """Pieces of the chunk have been decided."""
        for each in settled:
            if not each.state:
                break
            self._take(each)

    def merging_ended(self, now: int) -> None:
        """Nothing more of the chunk will be decided; what has no certificate is asked again later."""
        self.chunk = None
        self._due = now if self._items else now + EVERY

    def operations(self, now: int, wall: int, *, ends: bool) -> list[Operation]:
        """What to submit now; then nothing until `outcomes`. `ends`: the run has no further chunk. Times in
        nanoseconds."""
        waits = self._due is not None and now < self._due
        if not self._items or waits or self.flying or self.chunk is not None or self.code:
            return []
        self.flying = True
        self._due = None
        names, made = self._names, []
        previous = self.place.head
        for index, item in enumerate(self._items):
            last = ends and not self._waiting and index == len(self._items) - 1
            record = Record(previous, decode_certificate(item.settled.piece.certificate), last)
            previous = item.place.head
            operation = build(
                record,
                event=names.event,
                actor=names.actor,
                entry=names.entry,
                valid_until=wall // 1_000 + VALID,
            )
            made.append(operation)
        return made

    def outcomes(self, results: Sequence[Result], now: int) -> list[Recorded]:
        """What became of the operations, in order; returns what the log has now."""
        self.flying = False
        done: list[Recorded] = []
        again = False
        for result in results:
            self.last = result.code
            if result.code == reasons.OK:
                done.append(self._recorded(result))
                continue
            if result.code == reasons.NOT_NEXT and (found := self._found(result)):
                self.last = reasons.OK
                done += found
            elif result.code == reasons.WRONG_EPOCH:
                self._back()
            elif result.code in AGAIN:
                again = True
            else:
                self.stop(result.code)
            break
        if again:
            self._due = now + EVERY
        elif self._items or (self._waiting and self._due is None):
            self._due = now
        return done

    def unsent(self, now: int) -> None:
        """The operations could not be submitted at all."""
        self.flying = False
        self.last = reasons.UNAVAILABLE
        self._due = now + EVERY

    def _span(self, epoch: int) -> list[Settled]:
        """The next pieces to be recorded as one."""
        first = self._waiting[0]
        span, count, size = [first], len(first.events), _size(first.events)
        if first.piece.epoch == epoch and count >= LARGE:
            return span
        for each in list(self._waiting)[1:CHUNK_EVENTS_MAX]:
            count, size = count + len(each.events), size + _size(each.events)
            if count > CHUNK_EVENTS_MAX or size > CHUNK_BYTES_MAX or len(each.events) >= LARGE:
                break
            span.append(each)
        return span

    def _merge(self, span: Sequence[Settled]) -> Chunk:
        names, place = self._names, self.place
        point = RunPoint(names.thread, names.run, place.position, state_digest(place.state), names.rules)
        track = Track(point, RuledRun(self._limits, place.state, drop_unknown=names.drop_unknown))
        events = [event for each in span for event in each.events]
        digests = [digest for each in span for digest in each.digests]
        self.chunk = Chunk(track, events, digests, (names.entry,))
        return self.chunk

    def _take(self, settled: Settled) -> None:
        """Make an item of a piece, and take its events off what waits."""
        self._items.append(_Item(settled, self._after(settled)))
        count = len(settled.events)
        while count:
            first = self._waiting.popleft()
            taken = first.events[:count]
            if len(taken) < len(first.events):
                self._waiting.appendleft(_asked_again(first, count))
            count -= len(taken)
            self._events -= len(taken)
            self._bytes -= _size(taken)

    def _after(self, settled: Settled) -> RunPlace:
        before = self._items[-1].place if self._items else self.place
        position = before.position + len(settled.events)
        return RunPlace(position, settled.state, next_head(before.head, settled.encoded))

    def _recorded(self, result: Result) -> Recorded:
        """The first item is in the log."""
        item = self._items.pop(0)
        before, self.place = self.place, item.place
        return Recorded(
            thread=self._names.thread,
            run=self._names.run,
            position=before.position,
            count=len(item.settled.events),
            certificate=item.settled.piece.certificate,
            head=item.place.head,
            sequence=result.sequence,
            index=result.index,
            timestamp=result.timestamp,
        )

    def _found(self, result: Result) -> list[Recorded]:
        """The log is not where the first item begins: it may have executed items whose outcome was lost."""
        try:
            row = canonical.decode(RunRow, result.state)
        except canonical.CanonicalError:
            return []
        ahead = [index for index, item in enumerate(self._items, 1) if item.place.head == row.head]
        return [
            self._recorded(Result(reasons.OK, b"", row.sequence, row.index, row.timestamp))
            for _ in range(max(ahead, default=0))
        ]

    def _back(self) -> None:
        """The epoch of these certificates has ended: they are asked again."""
        for item in reversed(self._items):
            self._waiting.appendleft(_asked_again(item.settled, 0))
            self._events += len(item.settled.events)
            self._bytes += _size(item.settled.events)
        self._items.clear()

    def stop(self, code: str) -> None:
        """Nothing more is recorded, for this reason."""
        self.code = code
        self.chunk = None
        self._waiting.clear()
        self._items.clear()
        self._events = self._bytes = 0
        self._due = None


def _asked_again(settled: Settled, first: int) -> Settled:
    """The events from `first` on, which have no certificate of the present epoch."""
    piece = msgspec.structs.replace(settled.piece, epoch=NO_EPOCH)
    return msgspec.structs.replace(
        settled, piece=piece, events=settled.events[first:], digests=settled.digests[first:]
    )


def _size(events: Sequence[Event]) -> int:
    return sum(len(event.text) for event in events)
