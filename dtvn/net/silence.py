"""How long a connection may be silent before it is dead, by the round trip that its kernel measures (R31).

ZeroMQ's heartbeats keep every connection busy, but their patience is fixed when it is made, and a lost packet
on a long line takes seconds to be sent again. So ZeroMQ is given the longest patience, and the shorter one is
judged here by what the kernel knows of the connection (TCP_INFO): the time since its last data, and its
smoothed round trip. Where the kernel does not tell (it is not Linux), the longest patience remains.
"""

from __future__ import annotations

import os
import socket
import struct

LEAST_MS = 2_000
MOST_MS = 20_000
TRIPS = 8
"""Round trips of silence after which a connection is dead, between the two bounds above."""
HEARTBEAT_MS = 200
FOLLOWER_HEARTBEAT_MS = 400
"""The same on links by which the log is followed: members answer the heartbeats of many followers."""

_INFO = struct.Struct("=8B16I")
"""The beginning of Linux's struct tcp_info."""
_LAST_DATA_MS, _ROUND_TRIP_US = 8 + 11, 8 + 15


def patience_ms(round_trip_us: int) -> int:
    """Milliseconds of silence after which a connection with this round trip is dead."""
    return min(max(LEAST_MS, TRIPS * round_trip_us // 1_000), MOST_MS)


def is_dead(descriptor: int) -> bool:
    """Whether a TCP connection has been silent for too long; False if its descriptor is another's by now."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None or descriptor < 0:
        return False
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            found = connection.getsockopt(socket.IPPROTO_TCP, option, _INFO.size)
    except OSError:
        return False
    if len(found) < _INFO.size:
        return False
    info = _INFO.unpack(found)
    return info[_LAST_DATA_MS] > patience_ms(info[_ROUND_TRIP_US])
