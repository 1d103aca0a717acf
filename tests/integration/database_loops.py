"""Run by a test, in a process whose platform is on PostgreSQL: what rarely reads the database, so that its
connection is lost by the time it does. Each function works again without a restart."""

from __future__ import annotations

import os

import django
import psycopg


def lose_connections() -> None:
    """End every connection of this process, as a server that is killed does."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def main() -> None:
    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from validators.data_folder.folder import DataFolder
    from validators.services import nodes

    call_command("migrate", verbosity=0)
    folder = DataFolder(settings.DATA)
    folder.create()
    nodes.register_nodes(["node0", "node1"])
    for check in (_lost_worker_is_noticed, _end_is_reported, _readiness_goes_on, _last_word_is_written):
        check(folder)


def _lost_worker_is_noticed(folder: object) -> None:
    """`up`'s main thread reads the rows only when a worker ends."""
    from validators.data_folder.folder import DataFolder
    from validators.models import NodeRole
    from validators.processes.reconcile import Reconciler
    from validators.processes.supervisor import Supervisor

    class Told(Reconciler):
        """Notes what it is told."""

        def worker_lost(self, node_ids: object) -> None:
            told.append(node_ids)

    assert isinstance(folder, DataFolder)
    told: list[object] = []
    supervisor = Supervisor(folder, host="127.0.0.1", port=1, nodes=2)
    supervisor._reconciler = Told(folder, lambda node, token: None)
    for _ in range(2):
        supervisor._worker_lost(NodeRole.VALIDATOR)
        lose_connections()
    assert told == [["node0", "node1"]] * 2, told


def _end_is_reported(folder: object) -> None:
    """A node's main thread claims its row, and writes to it again when it ends, days later."""
    from validators.data_folder.folder import DataFolder
    from validators.data_folder.locks import SlotLock
    from validators.models import ManagedNode
    from validators.processes.lease import Lease

    assert isinstance(folder, DataFolder)
    ManagedNode.objects.filter(node_id="node0").update(start_token="token")
    lock = SlotLock(folder.node_lock("node0"))
    assert lock.take()
    lease = Lease(ManagedNode.objects.get(node_id="node0"), token="token", lock=lock)
    lease.claim()
    lose_connections()
    lease.end("the reason", 4)
    row = ManagedNode.objects.get(node_id="node0")
    assert (row.exit_reason, row.report) == ("the reason", {"exit_code": 4})


def _readiness_goes_on(folder: object) -> None:
    """A start during which the server restarts becomes ready all the same."""
    from validators.models import ManagedNode
    from validators.processes import readiness

    ManagedNode.objects.filter(role="learner").update(report={"sequence": 7})
    for look, away in ((readiness.learned, -1), (readiness.way_out, ""), (readiness.node_states, None)):
        before = look()
        lose_connections()
        during = look()
        assert during == away or "does not answer" in str(during), during
        assert look() == before


def _last_word_is_written(folder: object) -> None:
    """The end of a simulator's run is written by a thread that last read the database at its start."""
    from simulator.web import playing
    from simulator.web.models import SimulatorRun

    found: list[int] = []
    playing._patiently(lambda: found.append(SimulatorRun.objects.count()))
    lose_connections()
    playing._patiently(lambda: found.append(SimulatorRun.objects.count()))
    assert found == [0, 0]


if __name__ == "__main__":
    main()
