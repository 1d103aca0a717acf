"""This process's gateway to the cluster: made at its first use, never carried over a fork."""

from __future__ import annotations

import atexit
import os
import threading

from django.conf import settings

from tickets.services.errors import Unavailable
from validators.gateway.client import Gateway
from validators.gateway.face import GatewayFace
from validators.genesis import GenesisError
from validators.link import KeyFileError

__all__ = ["acknowledged", "close", "gateway", "use"]

PRINCIPAL = "gateway"
"""The actor of what this platform asks for itself."""

CALLS_MAX = 256
"""Calls under way in one process of the platform: each of them holds a thread that waits."""

_lock = threading.Lock()
_own: Gateway | None = None
_given: GatewayFace | None = None


def gateway() -> GatewayFace:
    """The gateway of this process; raise Unavailable while there is no cluster to talk to."""
    global _own
    if _given is not None:
        return _given
    with _lock:
        if _own is None or not _own.alive:
            genesis = settings.DATA / "cluster" / "genesis.bin"
            key = settings.DATA / "keys" / "gateway.key"
            try:
                _own = Gateway.open(genesis, key, calls_max=CALLS_MAX)
            except FileNotFoundError as error:
                raise Unavailable("No cluster has been made in this data folder yet.") from error
            except (OSError, GenesisError, KeyFileError, ValueError) as error:
                raise Unavailable(f"The gateway cannot be opened: {error}") from error
        return _own


def acknowledged() -> int:
    """Highest sequence that this process acknowledged to anybody (R17); 0 before the first."""
    known = _given or _own
    return 0 if known is None else known.acknowledged


def use(given: GatewayFace | None) -> None:
    """Let this process use another gateway (a FakeGateway, say); None: its own again."""
    global _given
    _given = given


def close() -> None:
    """Close this process's own gateway, if it made one."""
    global _own
    with _lock:
        if _own is not None:
            _own.close()
            _own = None


def _forked() -> None:
    """A child has no thread and must not touch its parent's sockets: it makes a gateway of its own."""
    global _lock, _own
    _lock = threading.Lock()
    _own = None


atexit.register(close)
os.register_at_fork(after_in_child=_forked)
