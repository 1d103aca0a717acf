"""The foreground process of `manage.py follow`. Its children are the follower and the web process.

A follower orders nothing, so it needs no broker, no workers and no gateway; desired states are not managed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django.db import connections

from dtvn.node.layout import ClusterFolder
from dtvn.node.options import load_genesis
from dtvn.protocol import genesis
from validators.data_folder import environment
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import heartbeat
from validators.data_folder.tcp_ports import keep_metrics_key
from validators.models import Platform
from validators.processes import preparation, readiness
from validators.processes.children import Child
from validators.processes.health_check import HealthCheck
from validators.processes.node_controller import KILL_SILENT_AFTER
from validators.processes.supervisor import Supervisor
from validators.services.nodes import LEARNER_ID, register_nodes

FOLLOWER = "follower"
AGE_INTERVAL = 5.0
"""Seconds between two looks at the age of the copy, once it was ready."""


class FollowSupervisor(Supervisor):
    """One run of a follower with its pages."""

    TRIED = "/api/v1/status"

    def __init__(self, folder: DataFolder, *, host: str, port: int) -> None:
        super().__init__(folder, host=host, port=port, nodes=None)

    def _check_settings(self) -> None:
        """Nothing that members are asked for has an effect here."""

    def _check_servers(self) -> None:
        """There is no broker."""

    def _threads(self) -> list[threading.Thread]:
        return [threading.Thread(target=self._announce_when_ready, name="ready", daemon=True)]

    def _prepare(self) -> int:
        """The tables, the secret key, and the row of the one process that is shown."""
        environment.ensure_secret_key(self._folder.root)
        preparation.migrate()
        preparation.keep_fingerprint(self._folder)
        keep_metrics_key(self._folder)
        register_nodes([])
        founded = load_genesis(ClusterFolder(self._folder.root).genesis)
        Platform.objects.update(cluster=genesis.cluster_id(founded).hex())
        connections.close_all()
        return 0

    def _make_children(self, listening: int, members: int) -> None:
        slot = self._folder.node_lock(LEARNER_ID)
        follower = Child(
            FOLLOWER,
            ["validators.processes.follower_process"],
            self._output,
            health=HealthCheck(kill_after=KILL_SILENT_AFTER),
            beat=lambda: heartbeat(slot),
        )
        self._children = [follower, self._web(listening)]

    def _make_room(self) -> None:
        """There are no slots."""

    def _wait_until_ready(self) -> bool:
        """True when its copy is as fresh as its pages promise, False when told to stop before."""
        said_at = time.monotonic()
        while not self._stop.wait(readiness.ASK_INTERVAL):
            reply = readiness.ask(self._url)
            if reply.sequence >= 0:
                return True
            if time.monotonic() - said_at >= readiness.SAY_INTERVAL:
                said_at = time.monotonic()
                self._output.say("up", f"not ready yet: {reply.reason}")
        return False

    def _announce_when_ready(self) -> None:
        super()._announce_when_ready()
        tell_age(self._url, self._stop, lambda text: self._output.say("up", text))


def tell_age(url: str, stop: threading.Event, say: Callable[[str], None]) -> None:
    """Say that the copy is too old to be ready, with what to do, and later that it is fresh again."""
    fresh = True
    while not stop.wait(AGE_INTERVAL):
        reply = readiness.ask(url)
        if reply.answered and fresh is not (reply.sequence >= 0):
            fresh = not fresh
            say("ready again" if fresh else f"not ready: {reply.reason}")
