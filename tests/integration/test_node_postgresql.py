"""What only nodes with their ledgers on PostgreSQL do."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from dtvn.machine import Issue
from tests.integration import servers
from tests.integration.node_cluster import operation, running_cluster, submit
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.integration, pytest.mark.scaled_out_only, pytest.mark.backend]


def test_four_nodes_on_one_server_keep_no_ledger_in_files(tmp_path: Path) -> None:
    with running_cluster(tmp_path, 4) as (cluster, gateway):
        [issued] = submit(gateway, [operation(Issue(), "T-1")])
        assert issued.code == "ok"
        assert list(tmp_path.rglob("*.sqlite3")) == []
        assert cluster.stop() == [0, 0, 0, 0]


def test_a_lost_database_ends_the_node(tmp_path: Path) -> None:
    """R10: nothing is sent that may not be durable; the node has to be started again."""
    with running_cluster(tmp_path, 1) as (cluster, gateway):
        with psycopg.connect(f"{servers.POSTGRESQL}/postgres", autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (cluster.settings["DATABASE_URL"].rpartition("/")[2],),
            )
        # A node that wrote its rows just now has noticed by then, and is gone: nothing was sent to it.
        [unknown] = submit(gateway, [operation(Issue(), "T-1")], wait=2.0)
        assert unknown.code in ("outcome_unknown", "unavailable")
        assert cluster.processes[0].wait(PATIENCE) == 1
        assert "failed reason=" in cluster.output(0)
        cluster.start(0)
        cluster.ready(gateway)
