"""The same nodes with their ledgers on PostgreSQL, where a server answers on this machine."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.integration.node_cluster import operation, running_cluster, submit
from tickets.machine import Admit, Issue

pytestmark = pytest.mark.integration


def test_four_nodes_on_one_server_commit_and_come_back_from_kill_9(
    tmp_path: Path, postgresql_database: str
) -> None:
    with running_cluster(tmp_path, 4, settings={"DATABASE_URL": postgresql_database}) as (cluster, gateway):
        issued = submit(gateway, [operation(Issue(), f"T-{number}") for number in range(50)])
        assert {result.code for result in issued} == {"ok"}
        cluster.kill(0, 1, 2, 3)
        cluster.start()
        cluster.ready(gateway)
        admitted = [submit(gateway, [operation(Admit(), f"T-{number}")])[0] for number in range(10)]
        assert {result.code for result in admitted} == {"ok"}
        cluster.settled(gateway)
        for index in range(4):
            assert cluster.ticket(gateway, index, "T-9")["ticket"]["State"] == "CONSUMED"
            assert cluster.ticket(gateway, index, "T-49")["ticket"]["State"] == "ISSUED"
        assert not (cluster.node(0).ledger / "ledger.sqlite3").exists()
        assert cluster.stop() == [0, 0, 0, 0]


def test_a_lost_database_is_a_failed_persist_and_ends_the_node(
    tmp_path: Path, postgresql_server: str, postgresql_database: str
) -> None:
    """R10: nothing is said of what may not be durable; whoever runs the node starts it again."""
    with running_cluster(tmp_path, 1, settings={"DATABASE_URL": postgresql_database}) as (cluster, gateway):
        with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (postgresql_database.rpartition("/")[2],),
            )
        [unknown] = submit(gateway, [operation(Issue(), "T-1")], wait=2.0)
        assert unknown.code == "outcome_unknown"
        assert cluster.processes[0].wait(15) == 1
        assert "failed reason=" in cluster.output(0)
        cluster.start(0)
        cluster.ready(gateway)
