"""The events that ZeroMQ tells about a socket's connections."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import zmq


def monitored(monitor: zmq.Socket[bytes]) -> Iterator[tuple[int, int]]:
    """The events that wait now: (event, its value, for most a file descriptor)."""
    while True:
        try:
            event, value = struct.unpack("=hi", monitor.recv_multipart(zmq.NOBLOCK)[0])
        except zmq.Again:
            return
        yield event, value
