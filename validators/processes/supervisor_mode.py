"""`manage.py supervisor`: the same platform, run like the Go DTVN's supervisor.

It starts with no node running; clients start a cluster through the API. A cluster that already exists in the
data folder is listed as stopped. Run as `python -m validators.processes.supervisor_mode`, with everything in
the environment: settings are read before a command knows its flags.
"""

from __future__ import annotations

import os
import signal
import sys

import django

if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # until the supervisor handles them: nothing runs yet
        signal.signal(number, lambda *_: os._exit(0))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtvn_project.settings")
    django.setup()

from django.db import connections
from django.utils.crypto import constant_time_compare

from dtvn.node.layout import ClusterFolder
from dtvn.protocol.quorum import Mode
from dtvn.wording import counted
from validators.data_folder import environment
from validators.data_folder.folder import DataFolder
from validators.models import ApiKey, DesiredState, ManagedNode
from validators.processes import preparation
from validators.processes.supervisor import Supervisor
from validators.services import api_keys, teams
from validators.services.cluster import reset_cluster, start_cluster, start_existing

ASK_INTERVAL = 0.1
KEY_LABEL = "DTVN_API_KEY"
USUAL_NODES = 4


class SupervisorMode(Supervisor):
    """One run of `manage.py supervisor` over one data folder. `auto_start`: nodes to start at once."""

    def __init__(
        self, folder: DataFolder, *, host: str, port: int, auto_start: int, consensus: Mode | None = None
    ) -> None:
        super().__init__(folder, host=host, port=port, nodes=None, consensus=consensus)
        self._auto_start = auto_start

    def _prepare(self) -> int:
        environment.ensure_secret_key(self._folder.root)
        self._folder.clear_celery()
        preparation.migrate()
        hold_key(environment.api_key())
        members = self._register()
        reset_cluster()
        if self._auto_start:
            self._start_at_once(members)
        connections.close_all()
        return max(members, self._auto_start, USUAL_NODES)

    def _start_at_once(self, members: int) -> None:
        """Starts the existing cluster, even if its size has changed, so that a flag kept in a unit file since
        the first start never sets tickets aside. Without a cluster, starts one of this many members."""
        if not ClusterFolder(self._folder.root).genesis.exists():
            start_cluster(self._auto_start)
            return
        if members != self._auto_start:
            size = counted(members, "validator")
            remark = f"this cluster has {size}; -auto-start {self._auto_start} starts the whole cluster"
            self._output.say("up", remark)
        start_existing()

    def _register(self) -> int:
        """Creates rows for the existing cluster, all nodes stopped; returns the number of members."""
        if not ClusterFolder(self._folder.root).genesis.exists():
            ManagedNode.objects.all().delete()
            return 0
        founded, _ = preparation.ensure_cluster(self._folder, None, self._consensus)
        own = preparation.own_members(self._folder, founded)
        own = preparation.register_cluster(self._folder, founded, own)
        ManagedNode.objects.update(desired=DesiredState.STOPPED)
        return len(own)

    def _wait_until_ready(self) -> bool:
        """Ready as soon as the web process answers: there may be no cluster to commit anything."""
        while not self._probe.answers:
            if self._stop.wait(ASK_INTERVAL):
                return False
        return True


def hold_key(plain: str) -> None:
    """Makes the given key valid, and revokes those given at earlier starts."""
    digest = api_keys.api_key_digest(plain) if plain else ""
    for key in ApiKey.objects.filter(label=KEY_LABEL):
        if not constant_time_compare(key.digest, digest):
            key.delete()
    if plain:
        api_keys.store_api_key(plain, label=KEY_LABEL, team=teams.everything())
    api_keys.tell_of_change()


def main() -> int:
    """The main function of the process; returns its exit code."""
    folder = DataFolder(environment.data_folder())
    made = SupervisorMode(
        folder,
        host=os.environ["DTVN_HOST"],
        port=int(os.environ["PORT"]),
        auto_start=int(os.environ.get("DTVN_AUTO_START") or 0),
        consensus=environment.consensus(),
    )
    return made.answer("supervisor")


if __name__ == "__main__":
    sys.exit(main())
