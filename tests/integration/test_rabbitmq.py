"""Nodes are Celery tasks; here they come out of RabbitMQ, with the ledgers on PostgreSQL."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.integration.network import network
from tests.integration.own_brokers import own_rabbitmq
from tests.integration.test_process_life import consume, wait_until_everyone_runs
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.backend,
    pytest.mark.scaled_out_only,
    pytest.mark.timeout(600),
]


def test_a_network_with_rabbitmq_restarts_its_processes(tmp_path: Path) -> None:
    with (
        own_rabbitmq(tmp_path / "broker") as broker,
        network(tmp_path / "data", environment={"CELERY_BROKER_URL": broker.url}) as started,
    ):
        started.start()
        wait_until_everyone_runs(started)
        with started.client() as client:
            assert client.post("/api/v1/tickets/seed").status_code == 200
            consume(client, "TICKET-001")
            killed = started.nodes()["node0"]["pid"]
            os.kill(killed, signal.SIGKILL)
            consume(client, "TICKET-002")
            started.wait_for_title("validator node0 ", besides=killed)
            wait_until_everyone_runs(started)
            consume(client, "TICKET-003")
            # All slots of the first worker are taken: what it is sent goes on to the second one.
            assert client.post("/api/v1/nodes", json={"node_id": "node4"}).status_code == 200
            wait_until(
                lambda: started.nodes().get("node4", {}).get("status") == "running",
                what=lambda: f"node4 runs\n{started.said()}",
            )
