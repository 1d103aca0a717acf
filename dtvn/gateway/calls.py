"""Calls that callers submitted, queued until their operations fit a bundle, and their results. Pure.

A call's operations stay in order: at most one bundle at a time carries a part of it. Different calls
are concurrent and may share a bundle.

A part whose bundle lost its session is sent again in another session, although the first bundle may still
be executed (nonces make both the same operation). So answers to both bundles count, and an operation that
was ever sent is never reported as not having happened (R14).
"""

from __future__ import annotations

import heapq
from collections import deque

import msgspec

from dtvn.machine.reasons import BUSY, EXPIRED, OUTCOME_UNKNOWN, TOO_FAR_AHEAD, UNAVAILABLE, UNREMEMBERED
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.membership import KIND as RECONFIGURE

PASSING = frozenset({BUSY, TOO_FAR_AHEAD})
"""Refusals of one bundle after which an earlier bundle with the same operation may still be executed. Not
so `expired`, since batch time only rises."""

MISDATED = frozenset({EXPIRED, TOO_FAR_AHEAD})
"""Outcomes after which an operation that the gateway dated is dated anew and sent again, once (R14)."""

DATE_BYTES = 8
"""Bytes by which an operation grows when it is dated."""

DEADLINES_SLACK = 64
"""Deadlines of ended calls kept before the heap is cleared of them."""


class Overloaded(Exception):
    """The queue is full; nothing of this call was taken."""


class OperationTooLarge(ValueError):
    """A single operation is larger than a bundle may be."""


class Result(msgspec.Struct, frozen=True, gc=False):
    """The outcome of one operation, as f + 1 members report it, or why it is not known."""

    code: str
    """"ok" or a reason of dtvn.machine.reasons. One of NOT_SENT: the operation did not happen.
    OUTCOME_UNKNOWN: it was sent, but f + 1 equal answers did not arrive in time (R14)."""
    state: bytes = b""
    """Canonical state of the ticket afterwards; b"" if not known."""
    sequence: int = 0
    """Its sequence in the log; 0: not known."""
    index: int = 0
    timestamp: int = 0
    """Effective time in microseconds; 0: not known."""


class Completed(msgspec.Struct, frozen=True):
    """A call is over: one result for each of its operations, in order."""

    call: int
    results: tuple[Result, ...]


class Call:
    """One submission. The first `done` operations have results; the others are in flight or wait."""

    __slots__ = (
        "alone",
        "begun",
        "carrier",
        "deadline",
        "done",
        "misdated",
        "number",
        "operations",
        "over",
        "results",
        "sent",
        "size",
        "sizes",
    )

    def __init__(
        self, number: int, operations: tuple[m.Operation, ...], size: int, begun: int, deadline: int
    ) -> None:
        self.number = number
        self.begun = begun
        """Monotonic nanoseconds when it was submitted."""
        self.operations = operations
        self.size = size
        self.deadline = deadline
        """Monotonic nanoseconds when the caller stops waiting."""
        self.results: list[Result] = []
        self.done = 0
        self.sent = 0
        """Number of operations, from the first on, that some bundle carries or carried."""
        self.carrier: Part | None = None
        """The part that a bundle carries now."""
        self.over = False
        self.misdated = False
        """Whether its next operations were refused for their date, and are sent again."""
        self.alone = len(operations) == 1 and operations[0].kind == RECONFIGURE
        """A membership change, which has no effect in a bundle with other operations (R35)."""
        self.sizes: list[int] | None = None


class Part(msgspec.Struct, frozen=True):
    """`count` operations of a call inside a bundle, from `start` on."""

    call: Call
    start: int
    count: int
    sent: int
    """Number of operations of the call that an earlier bundle carried."""

    @property
    def operations(self) -> tuple[m.Operation, ...]:
        """As the caller submitted them."""
        return self.call.operations[self.start : self.start + self.count]


class Queue:
    """A bounded queue of calls that wait for a bundle, first come first served."""

    def __init__(self, *, operations_max: int, bytes_max: int) -> None:
        self._operations_max = operations_max
        self._bytes_max = bytes_max
        self._part_bytes_max = bytes_max
        self._ready: deque[Call] = deque()
        self._deadlines: list[tuple[int, int, Call]] = []
        self._next = 1
        self._operations = 0
        self._bytes = 0
        self.open: dict[int, Call] = {}

    def __len__(self) -> int:
        return len(self._ready)

    def resize(self, part_bytes_max: int) -> None:
        """Set how many bytes of operations a bundle holds (R20); waiting calls are split accordingly."""
        self._part_bytes_max = part_bytes_max
        for call in self.open.values():
            if call.size > part_bytes_max and call.sizes is None:
                call.sizes = [_size(operation) for operation in call.operations]

    def add(self, operations: tuple[m.Operation, ...], now: int, deadline: int) -> Call:
        """Queue a call submitted at `now`; raise Overloaded or OperationTooLarge, in which case nothing
        is queued."""
        if not operations:
            raise ValueError("a call needs at least one operation")
        size = len(canonical.encode(operations)) + DATE_BYTES * _undated(operations)
        if self._operations + len(operations) > self._operations_max or self._bytes + size > self._bytes_max:
            raise Overloaded(f"{self._operations} operations wait already")
        call = Call(self._next, operations, size, now, deadline)
        if size > self._part_bytes_max:
            call.sizes = [_size(operation) for operation in operations]
            if max(call.sizes) > self._part_bytes_max:
                raise OperationTooLarge(f"an operation of {max(call.sizes)} bytes")
        self._next += 1
        self._operations += len(operations)
        self._bytes += size
        self.open[call.number] = call
        self._ready.append(call)
        heapq.heappush(self._deadlines, (deadline, call.number, call))
        return call

    def gather(self, operations_max: int) -> list[Part]:
        """Take the parts whose operations fit one bundle from the front of the queue."""
        parts: list[Part] = []
        gathered = 0
        room = self._part_bytes_max
        while self._ready and gathered < operations_max:
            call = self._ready[0]
            if call.over:
                self._ready.popleft()
                continue
            if call.alone and parts:
                break
            count, size = _fit(call, operations_max - gathered, room)
            if count == 0 and parts:
                break
            if count == 0:
                count, size = 1, room  # over a limit that fell meanwhile: sent alone, so it is refused alone
            self._ready.popleft()
            part = Part(call, call.done, count, call.sent)
            call.carrier = part
            call.sent = max(call.sent, call.done + count)
            parts.append(part)
            gathered += count
            room -= size
            if call.alone:
                break
        return parts

    def settle(self, part: Part, results: list[Result]) -> Completed | None:
        """Record a part's results: return the call if it is completed, else queue its next part first.

        The results of a part that was put back count too, unless they leave the outcome of its copy open.
        """
        call = part.call
        if call.over:
            return None
        carried = call.carrier is part
        if carried:
            call.carrier = None
            if self._asks_again(part, results):
                return None
            results = [
                Result(OUTCOME_UNKNOWN) if place < part.sent and result.code in PASSING else result
                for place, result in enumerate(results, part.start)
            ]
        elif any(result.code in UNREMEMBERED for result in results):
            return None
        call.results += results[call.done - part.start :]
        call.done = len(call.results)
        if call.done == len(call.operations):
            return self._close(call)
        if carried:
            self._ready.appendleft(call)
        return None

    def _asks_again(self, part: Part, results: list[Result]) -> bool:
        """Queue a part again if it was refused for the date that the gateway gave it; once. An operation
        without a nonce can do so as well: with the refused date it can never be executed."""
        call = part.call
        if call.misdated or not any(result.code in MISDATED for result in results):
            call.misdated = False
            return False
        if _undated(part.operations) < part.count:
            return False
        call.misdated, call.sent = True, part.sent
        self._ready.appendleft(call)
        return True

    def put_back(self, part: Part) -> None:
        """Queue a part at the front again: its bundle was sent, but will probably not be executed."""
        if not part.call.over:
            part.call.carrier = None
            self._ready.appendleft(part.call)

    def give_up(self, call: Call, code: str = UNAVAILABLE) -> Completed | None:
        """End a call (R14): what was ever sent has an unknown outcome, the rest did not happen (`code`)."""
        if call.over:
            return None
        call.results += [Result(OUTCOME_UNKNOWN)] * (call.sent - call.done)
        call.results += [Result(code)] * (len(call.operations) - len(call.results))
        return self._close(call)

    def overdue(self, now: int) -> list[Completed]:
        """Give up every call whose deadline has passed."""
        ended = []
        while self._deadlines and self._deadlines[0][0] <= now:
            completed = self.give_up(heapq.heappop(self._deadlines)[2])
            if completed is not None:
                ended.append(completed)
        if ended:  # their callers no longer wait: these calls are no reason to open a session
            self._ready = deque(call for call in self._ready if not call.over)
        return ended

    def unsent(self) -> list[Call]:
        """Open calls whose next operations wait and were never sent."""
        self._ready = deque(call for call in self._ready if not call.over)
        return [call for call in self._ready if call.sent == call.done]

    def waiting_since(self) -> int | None:
        """When the oldest open call was submitted; None: no call is open."""
        return next((call.begun for call in self.open.values()), None)

    def deadline(self) -> int | None:
        """Deadline of the next open call, monotonic nanoseconds; None if no call is open."""
        while self._deadlines and self._deadlines[0][2].over:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def _close(self, call: Call) -> Completed:
        call.over = True
        del self.open[call.number]
        self._operations -= len(call.operations)
        self._bytes -= call.size
        if len(self._deadlines) > 2 * len(self.open) + DEADLINES_SLACK:
            self._deadlines = [entry for entry in self._deadlines if not entry[2].over]
            heapq.heapify(self._deadlines)
        return Completed(call.number, tuple(call.results))


def _undated(operations: tuple[m.Operation, ...]) -> int:
    return sum(not operation.valid_until for operation in operations)


def _size(operation: m.Operation) -> int:
    return len(canonical.encode(operation)) + DATE_BYTES * (not operation.valid_until)


def _fit(call: Call, operations_max: int, bytes_max: int) -> tuple[int, int]:
    """Number of a call's next operations that fit, and their bytes."""
    remaining = len(call.operations) - call.done
    if call.sizes is None:
        if call.size > bytes_max:
            return 0, 0
        count = min(remaining, operations_max)
        return count, call.size
    count = size = 0
    for offset in range(call.done, call.done + min(remaining, operations_max)):
        if size + call.sizes[offset] > bytes_max:
            break
        size += call.sizes[offset]
        count += 1
    return count, size
