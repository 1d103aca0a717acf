"""This process's gateway to the cluster: made at its first use, never carried over a fork."""

from __future__ import annotations

import atexit
import os
import threading
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError

from dtvn_project.routers import LEARNER_ALIAS
from tickets.services.errors import Unavailable
from validators.canonical import CanonicalError
from validators.gateway.client import Gateway
from validators.gateway.face import GatewayFace
from validators.genesis import GenesisError
from validators.handovers_file import read_handovers
from validators.ledger import read
from validators.link import KeyFileError

__all__ = ["acknowledged", "close", "gateway", "key_file", "use"]

PRINCIPAL = "gateway"
"""The actor of what this platform asks for itself."""

CALLS_MAX = 256
"""Calls under way in one process of the platform: each of them holds a thread that waits."""

_lock = threading.Lock()
_own: Gateway | None = None
_own_mark: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
_given: GatewayFace | None = None


def gateway() -> GatewayFace:
    """The gateway of this process; raise Unavailable while there is no cluster to talk to."""
    global _own, _own_mark
    if _given is not None:
        return _given
    genesis = settings.DATA / "cluster" / "genesis.bin"
    with _lock:
        mark = (_file_mark(genesis), _file_mark(_recovered()))
        if _own is not None and mark != _own_mark:
            _own.close()  # a supervisor founded another cluster, or all members have new keys
        if _own is None or not _own.alive:
            _own_mark = mark
            try:
                _own = Gateway.open(genesis, key_file(), handovers=_handovers(), calls_max=CALLS_MAX)
            except FileNotFoundError as error:
                raise Unavailable("No cluster has been made in this data folder yet.") from error
            except (OSError, GenesisError, KeyFileError, ValueError) as error:
                raise Unavailable(f"The gateway cannot be opened: {error}") from error
        return _own


def _file_mark(path: Path) -> tuple[int, int]:
    """Differs for a file that was put in another's place, and where there is none."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_ino, found.st_mtime_ns)


def key_file() -> Path:
    """Where this platform's own key lies."""
    return Path(settings.DATA) / "keys" / "gateway.key"


def _recovered() -> Path:
    """Where a recovery (R11) tells this platform the ends of epochs."""
    return Path(settings.DATA) / "cluster" / "handovers.bin"


def _handovers() -> list[bytes]:
    """What a recovery told of ended epochs, then what the learner has: the founding members, or their keys,
    may all be gone by now."""
    told: list[bytes] = []
    with suppress(OSError, CanonicalError):
        told = read_handovers(_recovered())
    try:
        return told + read.handovers(LEARNER_ALIAS, after=len(told))
    except DatabaseError:
        return told


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
