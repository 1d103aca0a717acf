"""The learner's side of the feed, which announces the sequence up to which rows are written.

Runs inside the learner's main loop, so it never blocks: a PUB socket drops messages for a subscriber
that does not read, and a later announcement includes all that an earlier one said.
"""

from __future__ import annotations

from pathlib import Path

import zmq

from dtvn.node.feed_address import feed_address
from dtvn.node.options import StartError

SEQUENCE_BYTES = 8
"""An announcement is the applied sequence, big-endian, and nothing else."""

SEND_QUEUE_MAX = 64
"""Announcements kept for a subscriber that is slow; the newest one is enough for it anyway."""


class FeedPublisher:
    """Binds the feed's socket; there is one per network, in the process that holds the learner's lock."""

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, SEND_QUEUE_MAX)
        self._socket.bind(address)

    def announce(self, sequence: int) -> None:
        """Announce that every row up to `sequence` can be read now."""
        self._socket.send(sequence.to_bytes(SEQUENCE_BYTES, "big"), zmq.NOBLOCK)

    def close(self) -> None:
        """Release the socket; may be called twice."""
        self._context.destroy(linger=0)


def publish(data: Path) -> FeedPublisher:
    """The feed of a data folder; raise StartError."""
    try:
        return FeedPublisher(feed_address(data))
    except (OSError, zmq.ZMQError) as error:
        raise StartError(f"The feed's socket cannot be opened: {error}.") from error
