"""Bundles in flight: the parts that each carries, when it is sent again, and the answers to it. Pure."""

from __future__ import annotations

import heapq
from collections.abc import ItemsView, Iterator, ValuesView

import msgspec

from dtvn.gateway.answers import Tally
from dtvn.gateway.calls import Part
from dtvn.protocol.consensus import messages as m

DUE_SLACK = 64
"""Deadlines of ended flights kept before the heap is cleared of them."""


class Flight(msgspec.Struct):
    """One bundle; times are monotonic nanoseconds."""

    session: tuple[int, int]
    number: int
    frame: bytes
    tally: Tally
    parts: list[Part]
    first_sent: int
    retry_at: int
    pause: int
    """Time between the last two sendings."""
    give_up_at: int
    to_all: bool = False
    expired: bool = False
    """f + 1 members have executed past the end of its operations without it: it can only expire."""
    moved: set[int] = set()
    """Indices of the parts that were requeued for another session, or given up."""

    @property
    def left(self) -> bool:
        """Whether all parts have moved: the bundle is not sent again, but answers to it count."""
        return bool(self.parts) and len(self.moved) == len(self.parts)

    def due(self) -> int:
        """Monotonic nanoseconds at which `tick` has to handle this bundle."""
        return self.give_up_at if self.left else min(self.retry_at, self.give_up_at)

    def carried(self) -> Iterator[tuple[int, Part, tuple[m.Operation, ...]]]:
        """(index, part, its operations) of each part."""
        start = 0
        for place, part in enumerate(self.parts):
            yield place, part, self.tally.operations[start : start + part.count]
            start += part.count


class Flights:
    """All bundles in flight by digest, in the order of their first sending.

    Every turn asks for their number and the next due time, and hundreds are in flight at a time: neither
    question walks over all of them. A flight that may be due earlier than before must be noted (`note`);
    `deadline` finds out by itself when one is due later.
    """

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}
        self._places: dict[bytes, int] = {}
        self._next = 0
        self._due: list[tuple[int, int, bytes]] = []
        """A heap of (a time at or before the due time, place, digest). Ended flights are skipped."""
        self._left: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._flights)

    def get(self, request: bytes) -> Flight | None:
        """The flight of a bundle, or None."""
        return self._flights.get(request)

    def items(self) -> ItemsView[bytes, Flight]:
        """Digests and flights."""
        return self._flights.items()

    def values(self) -> ValuesView[Flight]:
        """The flights alone."""
        return self._flights.values()

    def waiting_since(self) -> int | None:
        """When the oldest bundle that nothing else carries was sent first; None: there is none."""
        return next((flight.first_sent for flight in self._flights.values() if not flight.left), None)

    def add(self, request: bytes, flight: Flight) -> None:
        """Add a flight that was just sent for the first time."""
        self._flights[request] = flight
        self._places[request] = self._next
        self._next += 1
        self.note(request)

    def remove(self, request: bytes) -> Flight:
        """Remove a flight that has ended, and return it."""
        self._left.discard(request)
        del self._places[request]
        return self._flights.pop(request)

    def note(self, request: bytes) -> None:
        """Note that a flight's times or its moved parts have changed; no effect if it has ended."""
        flight = self._flights.get(request)
        if flight is None:
            return
        if flight.left:
            self._left.add(request)
        heapq.heappush(self._due, (flight.due(), self._places[request], request))
        if len(self._due) > 2 * len(self._flights) + DUE_SLACK:
            self._due = [(each.due(), self._places[name], name) for name, each in self._flights.items()]
            heapq.heapify(self._due)

    def left(self) -> list[bytes]:
        """Digests of the flights that are not sent again (`Flight.left`), the oldest first."""
        return sorted(self._left, key=self._places.__getitem__) if self._left else []

    @property
    def flying(self) -> int:
        """Number of flights that are not `left`."""
        return len(self._flights) - len(self._left)

    def young(self, since: int) -> int:
        """Number of flights that are not `left` and were first sent after `since`."""
        old = 0
        for flight in self._flights.values():
            if flight.first_sent > since:
                break
            old += not flight.left
        return self.flying - old

    def deadline(self) -> int | None:
        """Monotonic nanoseconds at which the next flight is due; None without flights."""
        heap = self._due
        while heap:
            due, place, request = heap[0]
            flight = self._flights.get(request)
            if flight is None:
                heapq.heappop(heap)
            elif (later := flight.due()) != due:
                heapq.heapreplace(heap, (later, place, request))
            else:
                return due
        return None

    def overdue(self, now: int) -> list[tuple[bytes, Flight]]:
        """The flights that are due, in sending order; the caller must then remove or note each."""
        found: dict[int, bytes] = {}
        while (due := self.deadline()) is not None and due <= now:
            _due, place, request = heapq.heappop(self._due)
            found[place] = request
        return [(request, self._flights[request]) for _place, request in sorted(found.items())]
