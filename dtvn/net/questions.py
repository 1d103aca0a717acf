"""Questions and answers between processes that know each other's keys: ZeroMQ with CURVE, one thread that
answers.

A peer is who its CURVE key says; others are refused at the handshake (dtvn.net.zap). A question is one frame
and so is its answer; an empty answer refuses. Nothing here knows what they mean.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

import zmq

from dtvn.net.curve import CurveKeys, curve_keys, curve_public
from dtvn.net.dial import endpoint_of
from dtvn.net.dialled import tune
from dtvn.net.monitor import monitored
from dtvn.net.zap import DOMAIN, Gatekeeper

logger = logging.getLogger(__name__)

POLL_MS = 100
"""How long a wait lasts before it looks whether the links are closing."""
SPARE_MAX = 4
"""Most connections to one peer that are kept for the next question."""
BURST = 64
"""Questions answered before the gatekeeper is asked again."""

_LOST = (
    zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
"""Events of a connection that was refused, or that broke: the peer's answer will not come over it."""

Place = tuple[bytes, str, int]
"""(Ed25519 public key, host, TCP port) of a peer."""


class NoAnswer(OSError):
    """A peer that is not reached, refuses, or did not answer in time; the text names it."""


class QuestionLinks:
    """Asks peers and answers them. `seed`: this process's Ed25519 seed; `peers`: name -> place of those that
    may ask and be asked. Threads may share it."""

    def __init__(self, seed: bytes, peers: Mapping[str, Place]) -> None:
        self._keys = curve_keys(seed)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._peers = dict(peers)
        self._spare: dict[str, list[_Connection]] = {name: [] for name in self._peers}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server: threading.Thread | None = None

    def active(self) -> list[str]:
        """Names of all peers: who is not reached shows when it is asked."""
        return sorted(self._peers)

    # --- asking ----------------------------------------------------------------------------------

    def ask(self, name: str, body: bytes, timeout: float) -> bytes:
        """A peer's answer; raise NoAnswer after `timeout` seconds, at once if it refuses the connection, the
        question or is unknown, or if the connection breaks."""
        if name not in self._peers or self._closing.is_set():
            raise NoAnswer(f"{name} is no peer here")
        connection = self._taken(name)
        try:
            connection.socket.send_multipart([b"", body])
            answer = self._awaited(name, connection, timeout)
        except (zmq.ZMQError, NoAnswer) as error:
            connection.close()  # a late answer must not be the next question's
            raise NoAnswer(f"{name} is not reached: {error}") from error
        self._give_back(name, connection)
        if not answer:
            raise NoAnswer(f"{name} refused the question")
        return answer

    def _awaited(self, name: str, connection: _Connection, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        while not self._closing.is_set():
            left_ms = int((deadline - time.monotonic()) * 1000)
            if connection.wait(max(0, min(POLL_MS, left_ms))):
                return bytes(connection.socket.recv_multipart()[-1])
            if connection.lost():
                raise NoAnswer("the connection is refused, or broke")
            if left_ms <= 0:
                raise NoAnswer(f"it did not answer within {timeout} s")
        raise NoAnswer("the links are closing")

    def _taken(self, name: str) -> _Connection:
        with self._lock:
            while self._spare[name]:
                connection = self._spare[name].pop()
                if not connection.lost():
                    return connection
                connection.close()
        public_key, host, port = self._peers[name]
        return _Connection(self._context, self._keys, curve_public(public_key), endpoint_of(host, port))

    def _give_back(self, name: str, connection: _Connection) -> None:
        with self._lock:
            if len(self._spare[name]) < SPARE_MAX and not self._closing.is_set():
                self._spare[name].append(connection)
                return
        connection.close()

    # --- answering -------------------------------------------------------------------------------

    def serve(self, host: str, port: int, answer: Callable[[str, bytes], bytes]) -> None:
        """Answer questions here from now on, in a thread; raise OSError if the address is taken. `answer`
        gets the peer's name and its question; what it raises is logged, and refuses the question."""
        gatekeeper = Gatekeeper(
            self._context, {curve_public(place[0]): name for name, place in self._peers.items()}
        )
        router = self._context.socket(zmq.ROUTER)
        tune(router)
        router.heartbeat_ivl = 0
        router.curve_server = 1
        router.curve_publickey = self._keys.public
        router.curve_secretkey = self._keys.secret
        router.zap_domain = DOMAIN
        router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        endpoint = endpoint_of(host, port)
        router.ipv6 = "[" in endpoint
        try:
            router.bind(endpoint)
        except zmq.ZMQError as error:
            router.close(0)
            gatekeeper.close()
            raise OSError(error.errno, f"{endpoint}: {error}") from error
        run = (router, gatekeeper, answer)
        self._server = threading.Thread(target=self._serve, args=run, name="questions", daemon=True)
        self._server.start()

    def _serve(
        self, router: zmq.Socket[bytes], gatekeeper: Gatekeeper, answer: Callable[[str, bytes], bytes]
    ) -> None:
        poller = zmq.Poller()
        poller.register(router, zmq.POLLIN)
        poller.register(gatekeeper.socket, zmq.POLLIN)
        while not self._closing.is_set():
            poller.poll(POLL_MS)
            gatekeeper.attend()
            for _ in range(BURST):
                if not router.poll(0):
                    break
                self._answer(router, answer)
        router.close(0)
        gatekeeper.close()

    def _answer(self, router: zmq.Socket[bytes], answer: Callable[[str, bytes], bytes]) -> None:
        frames = router.recv_multipart(copy=False)
        try:
            name = str(frames[-1].get("User-Id"))
        except zmq.ZMQError:
            return
        if len(frames) != 3:
            return
        try:
            said = answer(name, frames[-1].bytes)
        except Exception as error:  # noqa: BLE001 - a peer's question must not end the thread
            logger.warning("a question of %s is refused: %s", name, error)
            said = b""
        router.send_multipart([frames[0].bytes, b"", said], zmq.NOBLOCK)

    def close(self) -> None:
        """End the thread and all connections; questions that wait end with NoAnswer within POLL_MS."""
        self._closing.set()
        if self._server is not None:
            self._server.join()
        with self._lock:
            for connections in self._spare.values():
                for connection in connections:
                    connection.close()
                connections.clear()
        self._context.destroy(0)


class _Connection:
    """A connection to one peer, and the monitor that says when it is lost."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], keys: CurveKeys, server_key: bytes, endpoint: str
    ) -> None:
        self.socket = context.socket(zmq.DEALER)
        tune(self.socket)
        self.socket.heartbeat_ivl = 0  # each question has a time-out of its own, which a slow line may need
        self.socket.curve_serverkey = server_key
        self.socket.curve_publickey = keys.public
        self.socket.curve_secretkey = keys.secret
        self.socket.ipv6 = "[" in endpoint
        self._monitor = self.socket.get_monitor_socket(_LOST)
        self.socket.connect(endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self.socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)

    def wait(self, milliseconds: int) -> bool:
        """Wait for an answer or the loss of the connection; whether it is an answer."""
        return self.socket in dict(self._poller.poll(milliseconds))

    def lost(self) -> bool:
        """Whether the connection was lost since the last look."""
        return any(True for _event in monitored(self._monitor))

    def close(self) -> None:
        """Close it."""
        self.socket.disable_monitor()
        self._monitor.close(0)
        self.socket.close(0)
