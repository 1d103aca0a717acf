"""Assigns streams to validators by consistent hashing with bounded loads; a live stream never moves.

After Mirrokni, Thorup and Zadimoghaddam (2018): a node takes at most 1.25 times its even share of the
streams, and what it refuses goes to the next node on the ring. So the members' shares stay near each other
whatever the keys are, and everyone who knows the members and these loads makes the same choice."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from dtvn.events.balancing.ring import HashRing

LOAD_FACTOR = 1.25
"""Streams that one node may have, as a multiple of the even share."""
STREAMS_MAX = 100_000
"""Most streams placed at once; `place` refuses more."""


class TooManyStreams(RuntimeError):
    """STREAMS_MAX streams are placed; one must end before another begins."""


class Placement:
    """The validators of each live stream, `width` of them."""

    def __init__(self, nodes: Iterable[str], width: int) -> None:
        """Raises ValueError unless there are at least `width` distinct nodes, and one."""
        self._ring = HashRing()
        self._streams_of = dict.fromkeys(nodes, 0)
        self._placed: dict[str, tuple[str, ...]] = {}
        self._width = width
        if not 1 <= width <= len(self._streams_of):
            raise ValueError(f"width: {width}, not 1 to {len(self._streams_of)}")
        for node in self._streams_of:
            self._ring.add(node)

    def loads(self) -> dict[str, int]:
        """Number of live streams of each node."""
        return dict(self._streams_of)

    def place(self, thread: str) -> tuple[str, ...]:
        """The validators of a thread, the preferred one first; the same until `release`. Raises
        TooManyStreams."""
        placed = self._placed.get(thread)
        if placed is None:
            if len(self._placed) >= STREAMS_MAX:
                raise TooManyStreams(f"{STREAMS_MAX} streams are being validated")
            placed = self._placed[thread] = self._choose(thread)
            for node in placed:
                self._streams_of[node] += 1
        return placed

    def release(self, thread: str) -> None:
        """The thread has no live run any more; an unknown one is ignored."""
        for node in self._placed.pop(thread, ()):
            self._streams_of[node] -= 1

    def _choose(self, thread: str) -> tuple[str, ...]:
        streams = (len(self._placed) + 1) * self._width
        most = ceil(LOAD_FACTOR * streams / len(self._streams_of))
        in_order = list(self._ring.nodes_for(thread))
        free = [node for node in in_order if self._streams_of[node] < most]
        full = [node for node in in_order if self._streams_of[node] >= most]
        return tuple((free + full)[: self._width])
