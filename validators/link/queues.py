"""Bounded outbound lanes of one peer: votes overtake bulk, and the oldest goes when a lane is full.

ZeroMQ's high-water mark counts frames in a first-in-first-out pipe, so a megabyte of log entries
would stand before a vote. The pipe is therefore kept short and the waiting room is here. Dropping
the oldest is right for consensus: newer statements supersede older ones, and what is still needed
is said again on status (PITFALLS row 15, R30).
"""

from __future__ import annotations

import enum
from collections import deque

__all__ = ["Lane", "Outbound", "lane_of"]

FRAMES_MAX = 4_096
"""Frames of one lane that wait for one peer: several seconds of votes at full speed."""

BYTES_MAX = 32 * 1024 * 1024
"""Bytes of one lane: three frames of the largest size."""

_FIRST_STATEMENT = 16
_FIRST_LINK = 64
_MEASURING = (76, 77)
"""Ping and Pong: behind bulk they would measure our own queue."""
_ENVELOPE_OF_FOUR = 0x94


class Lane(enum.IntEnum):
    """Lower goes first."""

    CONSENSUS = 0
    BULK = 1


def lane_of(frame: bytes) -> Lane:
    """The lane of a frame by its envelope's kind: statements of replicas and what measures first.

    Reads two bytes of the MessagePack array `[kind, ...]`: kinds below 128 are one byte. Nothing is
    trusted by this, only scheduled.
    """
    if len(frame) <= 2 or frame[0] != _ENVELOPE_OF_FOUR:
        return Lane.BULK
    if _FIRST_STATEMENT <= frame[1] < _FIRST_LINK or frame[1] in _MEASURING:
        return Lane.CONSENSUS
    return Lane.BULK


class Outbound:
    """What waits for one peer. `dropped` counts frames thrown away because a lane was full."""

    def __init__(self, *, frames_max: int = FRAMES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self._lanes: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        self._bytes = [0, 0]
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._lanes[0]) + len(self._lanes[1])

    @property
    def bytes_waiting(self) -> int:
        """Bytes of all lanes."""
        return self._bytes[0] + self._bytes[1]

    def put(self, lane: Lane, frame: bytes) -> int:
        """Queue a frame; return how many older ones of its lane had to go for it."""
        waiting = self._lanes[lane]
        waiting.append(frame)
        self._bytes[lane] += len(frame)
        dropped = 0
        while len(waiting) > 1 and (len(waiting) > self._frames_max or self._bytes[lane] > self._bytes_max):
            self._bytes[lane] -= len(waiting.popleft())
            dropped += 1
        self.dropped += dropped
        return dropped

    def first(self) -> bytes | None:
        """The frame that goes next, left in place; None when nothing waits."""
        for waiting in self._lanes:
            if waiting:
                return waiting[0]
        return None

    def sent(self) -> None:
        """Remove what `first` gave."""
        for lane, waiting in enumerate(self._lanes):
            if waiting:
                self._bytes[lane] -= len(waiting.popleft())
                return

    def clear(self) -> int:
        """Forget everything (the connection is gone); return how many frames that were."""
        count = len(self)
        for waiting in self._lanes:
            waiting.clear()
        self._bytes = [0, 0]
        return count
