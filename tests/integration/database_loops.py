"""Run by a test, in a process whose platform is on PostgreSQL: what goes on for long or rarely reads the
database, so that its connection is lost by the time it does. Each works again without a restart."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

import django
import psycopg

from tests.waiting import wait_until

PAUSE = 0.1
"""Seconds between two turns of a loop here."""


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
    from django.db import close_old_connections

    from validators.data_folder.folder import DataFolder
    from validators.services import nodes

    call_command("migrate", verbosity=0)
    folder = DataFolder(settings.DATA)
    folder.create()
    nodes.register_nodes(["node0", "node1"])
    for check in (
        _lost_worker_is_noticed,
        _end_is_reported,
        _readiness_goes_on,
        _last_word_is_written,
        _platform_keeps_its_lease,
        _figures_are_sampled,
        _runs_are_written,
        _progress_is_written,
        _import_is_finished,
    ):
        close_old_connections()  # the one that the check before has lost
        check(folder)


def goes_on(what: str, newest: Callable[[], object]) -> None:
    """Waits for two new values of `newest`, before the connections are lost and after."""
    for lost in (False, True):
        if lost:
            lose_connections()
        for _ in range(2):
            before = _patient(newest)
            wait_until(lambda: _patient(newest) != before, what=f"{what}, lost: {lost}", timeout=20.0)  # noqa: B023


def _patient(look: Callable[[], object]) -> object:
    """The test's own look, whose connection is lost too."""
    from django.db import DatabaseError, connection

    try:
        return look()
    except DatabaseError:
        connection.close()
        return look()


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
    from simulator.web.models import SimulatorRun
    from validators.processes.last_word import write_last_word

    found: list[int] = []
    write_last_word(lambda: found.append(SimulatorRun.objects.count()), "a run")
    lose_connections()
    write_last_word(lambda: found.append(SimulatorRun.objects.count()), "a run")
    assert found == [0, 0]


def _platform_keeps_its_lease(folder: object) -> None:
    """The thread that renews it; another run may take one that is not renewed."""
    from validators.data_folder.folder import DataFolder
    from validators.models import Platform
    from validators.processes import platform_lease

    assert isinstance(folder, DataFolder)
    platform_lease.RENEW_INTERVAL = PAUSE
    lease = platform_lease.PlatformLease(folder)
    lease.take()
    goes_on("the lease is renewed", lambda: Platform.objects.get().renewed_at)
    assert not lease.lost
    lease.release()


def _figures_are_sampled(folder: object) -> None:
    """The thread behind the curves of the pages."""
    from validators import figures_window

    figures_window.INTERVAL_UNSEEN = PAUSE
    sampler = figures_window.Sampler()
    threading.Thread(target=sampler.run_forever, daemon=True).start()
    goes_on("a sample is taken", lambda: [point.at for point in sampler.window.points(0.0)][-1:])


def _runs_are_written(folder: object) -> None:
    """The thread that notes in the rows of open runs that they are not lost, also of those without news."""
    from dtvn.api.event_bodies import RunBody
    from events.models import JudgedRun
    from events.services import run_rows, run_table
    from events.services.open_runs import OpenRun
    from tests.fake_gateway import FakeGateway
    from tests.host.support import make_genesis

    run_table.WRITE_INTERVAL = run_table.HEARD_INTERVAL = PAUSE
    run = OpenRun(FakeGateway(make_genesis(4), principal="gateway"), RunBody(), "tester")
    run.begin()
    run.id = run_rows.begin(thread="t", run="r", algorithm="pbft", recorded=False, actor="tester").pk
    table = run_table.RunTable()
    table._runs[run.id] = run
    table._watch()
    goes_on("the run is heard of", lambda: JudgedRun.objects.get(pk=run.id).changed_at)
    table._runs.clear()


def _progress_is_written(folder: object) -> None:
    """The thread beside an import, whose silence would count as its end."""
    from django.utils import timezone

    from tickets.importing import work
    from tickets.models import TicketImport

    work.BEAT_INTERVAL = PAUSE
    row = TicketImport.objects.create(file_name="a.csv", actor="a", token="t", heartbeat_at=timezone.now())
    with work._Progress(row.pk, "t").shown():
        goes_on("the heartbeat is written", lambda: TicketImport.objects.get(pk=row.pk).heartbeat_at)


def _import_is_finished(folder: object) -> None:
    """Its worker issues tickets for minutes without the database, and writes the report then."""
    from django.utils import timezone

    from dtvn.api.ordering import Decision, Request
    from dtvn.gateway import Result
    from dtvn.ledger import Location
    from tests.fake_gateway import FakeGateway
    from tests.host.support import make_genesis
    from tickets.importing.work import work
    from tickets.models import ImportState, TicketImport
    from validators.data_folder.folder import DataFolder
    from validators.ledger import open_ledger
    from validators.services import network

    assert isinstance(folder, DataFolder)
    network.use(FakeGateway(make_genesis(4), principal="gateway"))  # whose genesis salts codes

    learner = Location.choose(folder.root / "learner", url=os.environ["DATABASE_URL"], schema="learner")
    open_ledger(learner, cluster_id=bytes(32), indexed=True).close()  # its tables

    def order(requests: Sequence[Request]) -> list[Decision]:
        lose_connections()
        return [Decision(request, Result(code="ok")) for request in requests]

    row = TicketImport.objects.create(
        file_name="a.csv",
        content=b"ticket_id,event\nT-1,e\n",
        state=ImportState.READING,
        options={"answers": {"code": "ticket id", "events": {"e": "e"}, "new_event": "as-it-is"}},
        actor="a",
        token="t",
        heartbeat_at=timezone.now(),
    )
    assert work(row.pk, "t", order) == "done"
    TicketImport.objects.filter(state=ImportState.PREVIEW).update(state=ImportState.ISSUING, claimed=False)
    assert work(row.pk, "t", order) == "done"
    row.refresh_from_db()
    assert (row.state, row.error, row.done) == (ImportState.DONE, "", 1)


if __name__ == "__main__":
    main()
