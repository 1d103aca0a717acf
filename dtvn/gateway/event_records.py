"""Records the certified events of one run in the ordered log, in batches, and handles the outcomes. Pure.

Gathered events are recorded once a second. Several small chunks are first judged again as one, with the same
verdict, since a vote is a pure function; a large chunk is recorded with the certificate that it has. If the
epoch of a certificate ends before it is recorded, its events are judged again in the next epoch; the head
stays the same, because it covers the vote and not its signers.
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
"""Events, and bytes of their texts, that are recorded at once instead of after EVERY."""
LARGE = 64
"""Events of a chunk that is recorded alone; chunks with fewer are judged again as one."""
AT_ONCE = 64
"""Most records of one run in one call."""
BACKLOG_MAX = 8_192
BACKLOG_BYTES_MAX = 4 * 1024 * 1024
"""Events, and bytes of their texts, that may wait for the log before the run's next chunk waits too."""
AGAIN = frozenset(
    {reasons.BUSY, reasons.EXPIRED, reasons.TOO_FAR_AHEAD, reasons.OUTCOME_UNKNOWN, *reasons.NOT_SENT}
)
"""Outcomes after which the same record is tried again."""
NO_EPOCH = -1


class Names(msgspec.Struct, frozen=True):
    """What all records of a run have in common."""

    thread: str
    run: str
    rules: bytes
    drop_unknown: bool
    event: str
    actor: str
    entry: str


class _Item(msgspec.Struct, frozen=True):
    """A certified piece to be recorded, and where the run stands after it."""

    settled: Settled
    place: RunPlace


class Recorder:
    """Records the events of one run. `place`: where the run stands in the log."""

    def __init__(self, names: Names, place: RunPlace, limits: Limits) -> None:
        self.place = place
        self.code = ""
        """Outcome code that ended recording for good; "" while recording goes on."""
        self.last = ""
        """Outcome code of the newest record."""
        self.chunk: Chunk | None = None
        """Waiting pieces that are being judged again as one chunk."""
        self.flying = False
        """Whether records are submitted and have no outcome yet."""
        self._names = names
        self._limits = limits
        self._waiting: deque[Settled] = deque()
        self._events = self._bytes = 0
        self._items: list[_Item] = []
        """Pieces with a certificate of the present epoch, to be recorded next, in order."""
        self._due: int | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is left to record, or recording has ended for good."""
        return bool(self.code) or not (self._waiting or self._items or self.chunk or self.flying)

    @property
    def outcome(self) -> str:
        """See events_face.RunEnd.code, as if the run ended now."""
        code = self.code or self.last
        if self.idle or code not in ("", reasons.OK, reasons.NOT_NEXT):
            return code
        # `not_next` by its code alone may hide a lost outcome, and is tried again.
        unknown = self.flying or code == reasons.NOT_NEXT
        return reasons.OUTCOME_UNKNOWN if unknown else reasons.UNAVAILABLE

    @property
    def full(self) -> bool:
        """Whether events beyond BACKLOG_MAX or BACKLOG_BYTES_MAX wait for the log."""
        return not self.code and (self._events > BACKLOG_MAX or self._bytes > BACKLOG_BYTES_MAX)

    def add(self, settled: Settled, now: int) -> None:
        """Queue a certified piece to be recorded."""
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
        """Make what waits due now, because the run ends; not what the log has just refused to take."""
        if self._due is not None and self.last in ("", reasons.OK):
            self._due = min(self._due, now)

    def deadline(self) -> int | None:
        """Monotonic nanoseconds at which `plan` is due; None if nothing waits, or something is under way."""
        return None if self.chunk is not None or self.flying or self.code else self._due

    def plan(self, epoch: int, now: int) -> Chunk | None:
        """Make items of the waiting pieces that are due. Returns a chunk if some must be judged first, in
        `epoch`: its decided pieces go to `merged`, its end to `merging_ended`."""
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
        """Make items of decided pieces of the chunk from `plan`, up to the first without a certified
        state."""
        for each in settled:
            if not each.state:
                break
            self._take(each)

    def merging_ended(self, now: int) -> None:
        """The chunk from `plan` is decided; its events without a certificate are judged again later."""
        self.chunk = None
        self._due = now if self._items else now + EVERY

    def operations(self, now: int, *, ends: bool) -> list[Operation]:
        """The operations that record the items; [] if none is due, or until `outcomes` was called for the
        last ones. `now`: monotonic nanoseconds. `ends`: the run has no further chunk, so its last
        record ends it."""
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
            )
            made.append(operation)
        return made

    def outcomes(self, results: Sequence[Result], now: int) -> list[Recorded]:
        """Handle the outcomes of the submitted operations, in order. Returns the records that the log now
        holds."""
        self.flying = False
        done: list[Recorded] = []
        again, before = False, self.last
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
            elif result.code == reasons.NOT_NEXT and not result.state and before != reasons.NOT_NEXT:
                again = True  # it may be known by its code only (R16), which says nothing of the head
            else:
                self.stop(result.code)
            break
        if again:
            self._due = now + EVERY
        elif self._items or (self._waiting and self._due is None):
            self._due = now
        return done

    def unsent(self, now: int) -> None:
        """The operations could not be submitted: they are due again after EVERY."""
        self.flying = False
        self.last = reasons.UNAVAILABLE
        self._due = now + EVERY

    def _span(self, epoch: int) -> list[Settled]:
        """The next waiting pieces for one record: a large one with a certificate of `epoch` alone, else as
        many as fit one chunk, up to the next large one."""
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
        """Make an item of a certified piece, and remove its events from those that wait."""
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
        """Remove the first item, which the log now holds, and return its record."""
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
        """Handle `not_next`: the log may hold items already whose outcome was lost. Returns the records up to
        the head that the log reports; [] if that is the head of no item."""
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
        """Queue the items again, to be judged in the next epoch, because that of their certificates has
        ended."""
        for item in reversed(self._items):
            self._waiting.appendleft(_asked_again(item.settled, 0))
            self._events += len(item.settled.events)
            self._bytes += _size(item.settled.events)
        self._items.clear()

    def stop(self, code: str) -> None:
        """End recording for good with this outcome code, and drop what waits."""
        self.code = code
        self.chunk = None
        self._waiting.clear()
        self._items.clear()
        self._events = self._bytes = 0
        self._due = None


def _asked_again(settled: Settled, first: int) -> Settled:
    """The events of a piece from index `first` on, marked to be judged again: their certificate is void."""
    piece = msgspec.structs.replace(settled.piece, epoch=NO_EPOCH)
    return msgspec.structs.replace(
        settled, piece=piece, events=settled.events[first:], digests=settled.digests[first:]
    )


def _size(events: Sequence[Event]) -> int:
    return sum(len(event.text) for event in events)
