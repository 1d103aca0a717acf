"""Ledgers in the platform's database, the form before: they stay in use until they are moved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from dtvn.node.layout import ClusterFolder
from tests.integration.network import REPOSITORY, Network, network
from tests.integration.postgresql import PostgreSQL, postgresql
from tests.integration.test_database_outages import NOTICED, UP, answers, figure
from tests.integration.test_process_life import consume, everyone_runs, wait_until_everyone_runs
from tests.waiting import PATIENCE, allowed, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

NAMES = ("node0", "node1", "node2", "node3")


@pytest.mark.exhaustive
def test_ledgers_in_the_platforms_database_stay_in_use_until_moved(tmp_path: Path) -> None:
    with postgresql() as server:
        url = server.database()
        with network(tmp_path / "data", environment={"DATABASE_URL": url}) as started:
            started.start()
            with started.client() as client:
                assert client.post("/api/v1/tickets/seed").status_code == 200
                consume(client, "TICKET-001")
            started.stop()
            _as_in_the_form_before(started, url)
            started.start()
            wait_until_everyone_runs(started)
            _warned_in_words(started)
            with started.client() as client:
                consume(client, "TICKET-002")
                _all_end_with_their_server_and_come_back(started, server, client)
                _one_moves_out(started, client)
                _the_moved_one_outlives_the_server(started, server)
                consume(client, "TICKET-005")


def move(started: Network, node_id: str, *flags: str, **environment: str) -> str:
    """What `manage.py move_ledger` printed."""
    done = subprocess.run(
        [sys.executable, "manage.py", "move_ledger", node_id, *flags],
        cwd=REPOSITORY,
        env=started.environment() | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _as_in_the_form_before(started: Network, url: str) -> None:
    """All ledgers are in the schemas, and nothing but `DATABASE_URL` tells where."""
    for node_id in NAMES:
        folder = ClusterFolder(started.data).node(node_id)
        there = ("--to-server", "--into-platforms-database")
        assert "rows moved" in move(started, node_id, *there, DTVN_STORAGE_URL=url)
        folder.ledger_url.unlink()
        assert not list(folder.ledger.glob("*.sqlite3*"))


def _warned_in_words(started: Network) -> None:
    said = started.log.read_text()
    for node_id in NAMES:
        assert f"Stop {node_id}, then move its ledger: manage.py move_ledger {node_id}" in said
    assert "are on one server: they fail together with it" in said


def _all_end_with_their_server_and_come_back(
    started: Network, server: PostgreSQL, client: httpx.Client
) -> None:
    """A lost connection is a failed persist (R10); the metrics tell without the database."""
    server.kill()
    for node_id in NAMES:
        wait_until(
            lambda: figure(client, UP, node_id=node_id) == 0,  # noqa: B023 - at once
            timeout=allowed(NOTICED),
            what=f"{node_id} is down",
        )
    server.start()
    wait_until(
        lambda: answers(client) and everyone_runs(started),
        what=lambda: f"all nodes running\n{started.said()}",
    )
    consume(client, "TICKET-003")


def _one_moves_out(started: Network, client: httpx.Client) -> None:
    """It is stopped, moved and started, and has its vote: without it, three cannot decide."""
    _stop(started, client, "node3")
    assert "rows moved" in move(started, "node3")
    assert "already" in move(started, "node3")
    assert client.post("/api/v1/nodes/node3/start").status_code == 200
    wait_until_everyone_runs(started)
    _stop(started, client, "node0")
    consume(client, "TICKET-004")
    assert client.post("/api/v1/nodes/node0/start").status_code == 200
    wait_until_everyone_runs(started)


def _stop(started: Network, client: httpx.Client, node_id: str) -> None:
    assert client.post(f"/api/v1/nodes/{node_id}/stop").status_code == 200
    wait_until(lambda: started.nodes()[node_id]["status"] == "stopped", what=f"{node_id} has stopped")


def _the_moved_one_outlives_the_server(started: Network, server: PostgreSQL) -> None:
    process = started.titled("validator node3 ")
    others = [started.titled(f"validator {node_id} ") for node_id in NAMES[:3]]
    assert process is not None
    server.kill()
    wait_until(lambda: not any(other and other.is_running() for other in others), what="the others ended")
    assert process.is_running()
    server.start()
    wait_until(
        lambda: started.titled("validator node0 ") and everyone_runs(started),
        what=lambda: f"all nodes running\n{started.said()}",
    )
