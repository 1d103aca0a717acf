"""This process's gateway to the cluster: created at first use, never inherited through a fork."""

from __future__ import annotations

import atexit
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError

from dtvn.api.errors import Unavailable
from dtvn.files.epoch_changes import read_epoch_changes
from dtvn.gateway import Gateway, GatewayFace, file_mark
from dtvn.net import KeyFileError
from dtvn.protocol.canonical import CanonicalError
from dtvn.protocol.genesis import GenesisError, cluster_id
from dtvn.waiting import look_until
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read

PRINCIPAL = "gateway"
"""The actor of operations that the platform itself requests."""

CALLS_MAX = 256
"""Concurrent calls in one process of the platform: each blocks a thread."""

FIRST_WAIT = 2.0
"""Seconds that members have to report to a gateway that was just opened."""

_lock = threading.Lock()
_own: Gateway | None = None
_opened = 0.0
"""When the gateway of this process was opened, monotonic seconds."""
_own_mark: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
_given: GatewayFace | None = None


def gateway() -> GatewayFace:
    """The gateway of this process; raise Unavailable while there is no cluster to talk to."""
    global _own, _own_mark, _opened
    if _given is not None:
        return _given
    if settings.FOLLOWS is not None:
        raise Unavailable("This platform only follows the cluster, and asks no member.")
    genesis = settings.DATA / "cluster" / "genesis.bin"
    with _lock:
        mark = (file_mark(genesis), file_mark(_recovered()))
        if _own is not None and mark != _own_mark:
            _own.close()  # a supervisor founded another cluster, or all members have new keys
        if _own is None or not _own.alive:
            _own_mark = mark
            config = settings.EVENTS_CONFIG
            try:
                _own = Gateway.open(
                    genesis,
                    key_file(),
                    epoch_changes=_epoch_changes(),
                    calls_max=CALLS_MAX,
                    judging=None if config is None else config.consensus_config,
                    balancing=None if config is None else config.load_balancer,
                )
                _opened = time.monotonic()
            except FileNotFoundError as error:
                raise Unavailable("This data folder has no cluster yet.") from error
            except (OSError, GenesisError, KeyFileError, ValueError) as error:
                raise Unavailable(f"The gateway cannot be opened: {error}") from error
        return _own


def informed_gateway() -> GatewayFace:
    """`gateway`, once a quorum has reported to it, or FIRST_WAIT after it was opened: one that was opened
    just now knows nothing of the members. Raises Unavailable."""
    network = gateway()
    left = _opened + FIRST_WAIT - time.monotonic()
    if _given is None and left > 0:
        needed = network.agreement().needed
        look_until(
            lambda: sum(report.heard is not None for report in network.members()) >= needed, left, pause=0.02
        )
    return network


def key_file() -> Path:
    """The file with this platform's own key."""
    return Path(settings.DATA) / "keys" / "gateway.key"


def _recovered() -> Path:
    """The file in which a recovery (R11) gives this platform the ends of epochs."""
    return Path(settings.DATA) / "cluster" / "handovers.bin"


def _epoch_changes() -> list[bytes]:
    """Epoch change proofs of ended epochs, first from a recovery, then from the learner: the founding
    members, or their keys, may all be gone by now."""
    told: list[bytes] = []
    with suppress(OSError, CanonicalError):
        told = read_epoch_changes(_recovered())
    try:
        return told + read.epoch_changes(LEARNER_ALIAS, after=len(told))
    except DatabaseError:
        return told


def own_cluster() -> bytes:
    """Id of the cluster that this platform shows; a follower knows it without asking a member. Raises
    Unavailable as `gateway` does."""
    followed = (settings.FOLLOWS or {}).get("cluster", "")
    return bytes.fromhex(followed) if followed else cluster_id(gateway().genesis)


def acknowledged() -> int:
    """Highest sequence that this process acknowledged to a caller (R17); 0 before the first."""
    known = opened()
    return 0 if known is None else known.acknowledged


def opened() -> GatewayFace | None:
    """The gateway that this process has opened, if it has."""
    return _given or _own


def use(given: GatewayFace | None) -> None:
    """Makes this process use another gateway (a FakeGateway, say); None: its own again."""
    global _given
    _given = given


def close() -> None:
    """Close this process's own gateway, if it created one."""
    global _own
    with _lock:
        if _own is not None:
            _own.close()
            _own = None


def _forked() -> None:
    """A child process has no gateway thread and must not touch its parent's sockets: it creates its own
    gateway."""
    global _lock, _own
    _lock = threading.Lock()
    _own = None


atexit.register(close)
os.register_at_fork(after_in_child=_forked)
