"""One dialled connection: a DEALER to one member whose CURVE key is pinned, watched by its monitor.

The server's key is pinned, so the dialler knows which member it talks to; the server knows the dialler
by its CURVE key (see net/transport.py). The first frame of each connection is a Hello. Nothing is
queued for a member that is not connected: a statement that waited through an outage is stale, and
both consensus and gateways send again what still matters.
"""

from __future__ import annotations

import time

import zmq

from dtvn.net import silence
from dtvn.net.counters import LinkCounters
from dtvn.net.curve import CurveKeys
from dtvn.net.monitor import monitored
from dtvn.net.queues import Outbound, lane_of
from dtvn.protocol.wire import FRAME_BYTES_MAX

PIPE_FRAMES_MAX = 256
"""Frames inside ZeroMQ per direction; further ones wait in `Outbound`, where lanes apply."""

RECONNECT_MS = 50
RECONNECT_MS_MAX = 1_000
CONNECT_TIMEOUT_MS = 5_000
HANDSHAKE_MS = 10_000
"""Three round trips of a slow line, some of whose packets are lost."""

REBUILD_AFTER = 12_000_000_000
"""Nanoseconds without a connection after which the socket is recreated: libzmq gives up an endpoint
permanently after a protocol error (a foreign service on the port, a handshake refused once)."""

TURN_AFTER = 4_000_000_000
"""The same for a link with a spare key: each new socket uses the other key."""

READ_MAX = 128
"""Frames read from one link at a time, so that one peer does not occupy the loop."""

NOBLOCK = int(zmq.NOBLOCK)
READABLE = int(zmq.POLLIN)

_EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


def tune(socket: zmq.Socket[bytes], *, follower: bool = False) -> None:
    """Set the options of every link socket: no linger, size cap before decoding, heartbeats, short pipes.
    `follower`: of a process that follows the log."""
    socket.linger = 0
    socket.maxmsgsize = FRAME_BYTES_MAX
    socket.sndhwm = PIPE_FRAMES_MAX
    socket.rcvhwm = PIPE_FRAMES_MAX
    socket.heartbeat_ivl = silence.FOLLOWER_HEARTBEAT_MS if follower else silence.HEARTBEAT_MS
    socket.heartbeat_timeout = silence.MOST_MS
    socket.heartbeat_ttl = silence.MOST_MS
    socket.handshake_ivl = HANDSHAKE_MS


def has_frame(socket: zmq.Socket[bytes]) -> bool:
    """Whether a frame waits. This is ten times cheaper than the exception of a `recv` that finds none."""
    return int(socket.get(zmq.EVENTS)) & READABLE != 0


def more_follows(socket: zmq.Socket[bytes]) -> bool:
    """Whether the frame just read is not the last of its message; `rcvmore` takes eight times as long."""
    return bool(socket.get(zmq.RCVMORE))


class DialledLink:
    """A link to one member. `ready`: the handshake succeeded and the Hello went out."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        keys: CurveKeys,
        *,
        server_key: bytes,
        endpoint: str,
        hello: bytes,
        follower: bool = False,
    ) -> None:
        self._context = context
        self._follower = follower
        self.keys = keys
        self.spare: CurveKeys | None = None
        """Another key of this process, tried in turn with the first while that gets no connection."""
        self._turns = 0
        self._server_key = server_key
        self.endpoint = endpoint
        self._hello = hello
        self.ready = False
        self.counters = LinkCounters()
        self.outbound = Outbound()
        self._down_since = time.monotonic_ns()
        self._descriptor = -1
        """Of the TCP connection, which belongs to ZeroMQ."""
        self._open()

    def _open(self) -> None:
        socket = self._context.socket(zmq.DEALER)
        tune(socket, follower=self._follower)
        socket.immediate = 1
        socket.ipv6 = True
        socket.reconnect_ivl = RECONNECT_MS
        socket.reconnect_ivl_max = RECONNECT_MS_MAX
        socket.connect_timeout = CONNECT_TIMEOUT_MS
        socket.curve_serverkey = self._server_key
        keys = self.keys if self.spare is None or self._turns % 2 == 0 else self.spare
        socket.curve_publickey = keys.public
        socket.curve_secretkey = keys.secret
        self.monitor = socket.get_monitor_socket(_EVENTS)
        self.socket = socket
        try:
            socket.connect(self.endpoint)
        except zmq.ZMQError:  # invalid address: one that cannot be dialled must not end the other links
            self.counters.handshake_failures += 1

    def attend(self) -> None:
        """Handle the monitor's events: greet a new connection, drop the queue of a lost or silent one."""
        for event, value in monitored(self.monitor):
            if event == zmq.EVENT_CONNECTED:
                self._descriptor = value
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.counters.note_connect()
                self.ready = True
                self.outbound.put(lane_of(self._hello), self._hello)
            else:
                self._lost(failed=event != zmq.EVENT_DISCONNECTED)
        if self.ready and silence.is_dead(self._descriptor):
            self._lost(failed=False)
            self._rebuild()
        patience = REBUILD_AFTER if self.spare is None else TURN_AFTER
        if not self.ready and time.monotonic_ns() - self._down_since > patience:
            self._turns += 1
            self._rebuild()
        self.flush()

    def greet(self, hello: bytes) -> None:
        """Say this Hello first on each connection from now on, and on the present one too."""
        self._hello = hello
        if self.ready:
            self.send(hello)

    def redial(self, endpoint: str) -> None:
        """Dial `endpoint` from now on. A working connection is kept until it is lost."""
        self.endpoint = endpoint
        if not self.ready:
            self._rebuild()

    def _rebuild(self) -> None:
        self._discard()
        self._open()
        self._down_since = time.monotonic_ns()

    def send(self, frame: bytes) -> bool:
        """Queue one frame; False (and nothing is kept) if the member is not connected."""
        if not self.ready:
            self.counters.dropped_outbound += 1
            return False
        self.counters.dropped_outbound += self.outbound.put(lane_of(frame), frame)
        self.flush()
        return True

    def flush(self) -> None:
        """Give ZeroMQ the frames that it accepts now; the others wait in their lanes."""
        while self.ready and (frame := self.outbound.first()) is not None:
            try:
                self.socket.send(frame, NOBLOCK)
            except zmq.Again:
                return
            self.outbound.sent()
            self.counters.frames_sent += 1
            self.counters.bytes_sent += len(frame)

    def receive(self, limit: int = READ_MAX) -> list[bytes]:
        """At most `limit` waiting frames, without blocking; of a multipart message only the last part."""
        socket = self.socket
        frames: list[bytes] = []
        size = 0
        while len(frames) < limit and (not frames or has_frame(socket)):
            try:
                frame = socket.recv(NOBLOCK)
            except zmq.Again:
                break  # the first recv skips has_frame: the poll usually found a frame
            while more_follows(socket):
                frame = socket.recv()
            frames.append(frame)
            size += len(frame)
        self.counters.bytes_received += size
        self.counters.frames_received += len(frames)
        return frames

    def close(self) -> None:
        """Close the connection at once; nothing lingers."""
        self.ready = False
        self._discard()

    def _lost(self, *, failed: bool) -> None:
        if failed:
            self.counters.handshake_failures += 1
        if self.ready:
            self.counters.disconnects += 1
            self._down_since = time.monotonic_ns()
        self.ready, self._descriptor = False, -1
        self.counters.dropped_outbound += self.outbound.clear()

    def _discard(self) -> None:
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(0)
