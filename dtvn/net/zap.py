"""The gatekeeper decides at the CURVE handshake which peers may connect (ZeroMQ RFC 27, ZAP).

libzmq sends a request on an in-process socket for each handshake. The node's own loop answers it:
there is no extra thread, and a node whose loop is stuck admits no peer. Every frame of an admitted
connection carries the User-Id that is set here, and a peer's identity comes from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

import zmq
from zmq.utils import z85

DOMAIN = b"dtvn"
"""A non-empty domain: with ZAP_ENFORCE_DOMAIN no socket accepts a connection without a ZAP request."""

_ENDPOINT = "inproc://zeromq.zap.01"
_REQUEST_FRAMES = 7


class Gatekeeper:
    """Answers ZAP requests of one context. `allowed`: CURVE public key (Z85) to User-Id."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], allowed: Mapping[bytes, str]) -> None:
        self._allowed = dict(allowed)
        self.refused = 0
        """Handshakes refused since the start, because the key is not allowed."""
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(_ENDPOINT)

    def allow(self, allowed: Mapping[bytes, str]) -> None:
        """Replace the keys that are let in from now on."""
        self._allowed = dict(allowed)

    def attend(self) -> None:
        """Answer every waiting request, without blocking."""
        while True:
            try:
                request = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.socket.send_multipart(self._answer(request))

    def close(self) -> None:
        """Close the socket: no further handshake is admitted."""
        self.socket.close(0)

    def _answer(self, request: list[bytes]) -> list[bytes]:
        request_id = request[1] if len(request) > 1 else b""
        if len(request) == _REQUEST_FRAMES:
            version, _, domain, _address, _routing_id, mechanism, key = request
            if version == b"1.0" and domain == DOMAIN and mechanism == b"CURVE" and len(key) == 32:
                user = self._allowed.get(z85.encode(key))
                if user is not None:
                    return [b"1.0", request_id, b"200", b"OK", user.encode(), b""]
        self.refused += 1
        return [b"1.0", request_id, b"400", b"unknown key", b"", b""]
