"""Bundles under way: what each carries, when it is sent again, what members said of it. Pure."""

from __future__ import annotations

import heapq
from collections.abc import ItemsView, Iterator, ValuesView

import msgspec

from validators.consensus import messages as m
from validators.gateway.answers import Tally
from validators.gateway.calls import Part

__all__ = ["Flight", "Flights"]

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
    moved: set[int] = set()
    """Places in `parts` of what went on in another session, or was given up."""

    @property
    def left(self) -> bool:
        """Whether that is all of it: then it is only listened to."""
        return bool(self.parts) and len(self.moved) == len(self.parts)

    def due(self) -> int:
        """When `tick` has something to do with it."""
        return self.give_up_at if self.left else min(self.retry_at, self.give_up_at)

    def carried(self) -> Iterator[tuple[int, Part, tuple[m.Operation, ...]]]:
        """(place, part, its operations) of each part."""
        start = 0
        for place, part in enumerate(self.parts):
            yield place, part, self.tally.operations[start : start + part.count]
            start += part.count


class Flights:
    """All of them by the digest of their bundle, in the order of their first sending.

    Asked at every turn how many there are and when the next is due, and hundreds fly at a time: neither
    walks over them. A flight that may be due earlier than before must be noted (`note`); later is found out.
    """

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}
        self._places: dict[bytes, int] = {}
        self._next = 0
        self._due: list[tuple[int, int, bytes]] = []
        """A heap: (never later than due, place, digest). What has ended since is passed over."""
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

    def add(self, request: bytes, flight: Flight) -> None:
        """It was just sent for the first time."""
        self._flights[request] = flight
        self._places[request] = self._next
        self._next += 1
        self.note(request)

    def remove(self, request: bytes) -> Flight:
        """It has ended."""
        self._left.discard(request)
        del self._places[request]
        return self._flights.pop(request)

    def note(self, request: bytes) -> None:
        """Its times, or what is left of it, have changed (if it has not ended meanwhile)."""
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
        """Bundles that are only listened to, the oldest first."""
        return sorted(self._left, key=self._places.__getitem__) if self._left else []

    @property
    def flying(self) -> int:
        """How many are more than listened to."""
        return len(self._flights) - len(self._left)

    def young(self, since: int) -> int:
        """How many of these were first sent after `since`."""
        old = 0
        for flight in self._flights.values():
            if flight.first_sent > since:
                break
            old += not flight.left
        return self.flying - old

    def deadline(self) -> int | None:
        """When the next one is due."""
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
        """Those that are due, in order; each must be removed or noted afterwards."""
        found: dict[int, bytes] = {}
        while (due := self.deadline()) is not None and due <= now:
            _due, place, request = heapq.heappop(self._due)
            found[place] = request
        return [(request, self._flights[request]) for _place, request in sorted(found.items())]
