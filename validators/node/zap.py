"""The gatekeeper: who may connect at all, decided at the CURVE handshake (ZeroMQ RFC 27, ZAP).

libzmq asks on an in-process socket for each handshake. It is answered in the node's own loop: no
thread, and a node that does not turn lets nobody in. Once admitted, every frame of the connection
carries the User-Id that is set here, and identity comes from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

import zmq
from zmq.utils import z85

__all__ = ["DOMAIN", "Gatekeeper"]

DOMAIN = b"dtvn"
"""A domain that is not empty: together with ZAP_ENFORCE_DOMAIN no socket accepts anybody unasked."""

_ENDPOINT = "inproc://zeromq.zap.01"
_REQUEST_FRAMES = 7


class Gatekeeper:
    """Answers ZAP requests of one context. `allowed`: CURVE public key (Z85) to User-Id."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], allowed: Mapping[bytes, str]) -> None:
        self._allowed = dict(allowed)
        self.refused = 0
        """Handshakes refused since the start: strangers at the door."""
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(_ENDPOINT)

    def allow(self, allowed: Mapping[bytes, str]) -> None:
        """Let these in from now on, and nobody else."""
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
        """Let nobody in any more."""
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
