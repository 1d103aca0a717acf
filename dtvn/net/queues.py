"""Bounded outbound lanes of one peer: votes overtake bulk, and a full lane drops its oldest frame.

ZeroMQ's high-water mark counts frames in a first-in-first-out pipe, so a megabyte of log entries
would delay a vote. The pipe is therefore kept short, and frames wait here. Dropping the oldest frame
is right for consensus: newer statements supersede older ones, and what is still needed is sent
again after a Status (P15, R30).
"""

from __future__ import annotations

import enum
from collections import deque

FRAMES_MAX = 4_096
"""Frames of one lane that may wait for one peer: several seconds of votes at full speed."""

BYTES_MAX = 32 * 1024 * 1024
"""Bytes of one lane: three frames of the largest size."""

_FIRST_STATEMENT = 16
_FIRST_LINK = 64
_EARLY = (73, 76, 77)
"""Hello is the first frame of a link; Ping and Pong behind bulk would measure this node's own queue."""
_ENVELOPE_OF_FOUR = 0x94


class Lane(enum.IntEnum):
    """The lower lane is sent first."""

    CONSENSUS = 0
    BULK = 1


def lane_of(frame: bytes) -> Lane:
    """The lane of a frame by its envelope's kind: CONSENSUS for replicas' statements, Hello, Ping and Pong.

    Reads two bytes of the MessagePack array `[kind, ...]`: kinds below 128 are one byte. The result only
    schedules the frame; nothing is trusted because of it.
    """
    if len(frame) <= 2 or frame[0] != _ENVELOPE_OF_FOUR:
        return Lane.BULK
    if _FIRST_STATEMENT <= frame[1] < _FIRST_LINK or frame[1] in _EARLY:
        return Lane.CONSENSUS
    return Lane.BULK


class Outbound:
    """Frames that wait for one peer."""

    def __init__(self, *, frames_max: int = FRAMES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self._lanes: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        self._bytes = [0, 0]

    def __len__(self) -> int:
        return len(self._lanes[0]) + len(self._lanes[1])

    def put(self, lane: Lane, frame: bytes) -> int:
        """Queue a frame; return how many older ones of its lane were dropped for it."""
        waiting = self._lanes[lane]
        waiting.append(frame)
        self._bytes[lane] += len(frame)
        dropped = 0
        while len(waiting) > 1 and (len(waiting) > self._frames_max or self._bytes[lane] > self._bytes_max):
            self._bytes[lane] -= len(waiting.popleft())
            dropped += 1
        return dropped

    def first(self) -> bytes | None:
        """The next frame to send, left in place; None if no frame waits."""
        for waiting in self._lanes:
            if waiting:
                return waiting[0]
        return None

    def sent(self) -> None:
        """Remove the frame that `first` returned."""
        for lane, waiting in enumerate(self._lanes):
            if waiting:
                self._bytes[lane] -= len(waiting.popleft())
                return

    def clear(self) -> int:
        """Drop all frames (the connection is gone); return how many there were."""
        count = len(self)
        for waiting in self._lanes:
            waiting.clear()
        self._bytes = [0, 0]
        return count
