"""The broker dies, hangs and comes back under a running network: nodes go on, and starts are made up for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.network import Network, network
from tests.integration.own_brokers import OwnBroker, own_rabbitmq, own_redis
from tests.integration.supervised import Ears, listening
from tests.integration.test_process_life import consume, wait_until_everyone_runs
from tests.waiting import allowed, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

# Promised times, in seconds.
BACK = 5.0
"""From a broker that answers again to a running node that was asked for meanwhile."""
DEATH_SHOWN = 5.0
QUIET = 6.0
"""Longer than any socket timeout on the way from Redis to a page."""

OwnServer = Callable[[Path], AbstractContextManager[OwnBroker]]


def status(client: httpx.Client, node_id: str) -> str:
    return next(node["status"] for node in client.get("/api/v1/nodes").json() if node["id"] == node_id)


def command(client: httpx.Client, node_id: str, verb: str) -> None:
    assert client.post(f"/api/v1/nodes/{node_id}/{verb}").status_code in {200, 202}


def lines(running: Network, source: str, text: str) -> list[str]:
    """What one process of the network said about something."""
    said = running.log.read_text(errors="replace").splitlines()
    return [line for line in said if line.startswith(f"{source} ") and text in line]


def wait_until_quiet(ears: Ears) -> None:
    """Until a socket heard nothing for longer than any timeout."""
    count, since = len(ears.frames), time.monotonic()

    def quiet() -> bool:
        nonlocal count, since
        if len(ears.frames) != count:
            count, since = len(ears.frames), time.monotonic()
        return time.monotonic() - since > QUIET

    wait_until(quiet, what="a socket that hears nothing")


@pytest.mark.parametrize("own_broker", [pytest.param(own_rabbitmq, marks=pytest.mark.exhaustive), own_redis])
def test_nodes_decide_while_the_broker_is_away_and_starts_are_made_up_for(
    tmp_path: Path, own_broker: OwnServer
) -> None:
    with (
        own_broker(tmp_path / "broker") as broker,
        network(tmp_path / "data", environment={"CELERY_BROKER_URL": broker.url}) as running,
    ):
        running.start()
        wait_until_everyone_runs(running)
        with running.client() as client, listening(running, X_API_Key=running.credentials["api_key"]) as ears:
            assert client.post("/api/v1/tickets/seed").status_code == 200
            wait_until_quiet(ears)
            for outage, ticket in enumerate(("TICKET-001", "TICKET-002"), start=1):
                broker.kill()
                consume(client, ticket)
                ears.wait_for("ticket_consumed", ticket_id=ticket)
                command(client, "node3", "stop")
                wait_until(lambda: status(client, "node3") == "stopped", what="node3 stops without a broker")
                command(client, "node3", "start")
                wait_until(
                    lambda outage=outage: len(lines(running, "up", "takes no start request")) == outage,  # type: ignore[misc]
                    what=running.said,
                )
                broker.start()
                wait_until(
                    lambda: status(client, "node3") == "running", timeout=allowed(BACK), what=running.said
                )
        for source in ("validators", "background"):
            assert len(lines(running, source, "the broker")) == 4, "an outage is one line, its end another"
            assert len(lines(running, source, " is away: ")) == 2
        assert len(lines(running, "up", "the broker")) == 4
        assert not lines(running, "web", "WARNING")
        assert "Traceback" not in running.log.read_text()


@pytest.mark.exhaustive
def test_a_worker_reports_a_death_while_the_broker_is_away(tmp_path: Path) -> None:
    with (
        own_redis(tmp_path / "broker") as broker,
        network(tmp_path / "data", environment={"CELERY_BROKER_URL": broker.url}) as running,
    ):
        running.start()
        wait_until_everyone_runs(running)
        pid = running.nodes()["node2"]["pid"]
        broker.kill()
        wait_until(lambda: lines(running, "validators", " is away: "), what=running.said)
        os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: lines(running, "validators", f"node2 (process {pid}) ended"),
            timeout=allowed(DEATH_SHOWN),
            what=running.said,
        )
        assert not lines(running, "validators", "answers again")
        assert not psutil.pid_exists(pid), "no zombie is left"
        broker.start()
        with running.client() as client:
            wait_until(lambda: status(client, "node2") == "running", timeout=allowed(BACK), what=running.said)
        assert "Traceback" not in running.log.read_text()


@pytest.mark.exhaustive
@pytest.mark.parametrize("own_broker", [own_rabbitmq, own_redis])
def test_a_broker_that_hangs_holds_up_no_check_of_the_nodes(tmp_path: Path, own_broker: OwnServer) -> None:
    with (
        own_broker(tmp_path / "broker") as broker,
        network(tmp_path / "data", environment={"CELERY_BROKER_URL": broker.url}) as running,
    ):
        running.start()
        wait_until_everyone_runs(running)
        with running.client() as client:
            broker.pause()
            os.kill(running.nodes()["node0"]["pid"], signal.SIGKILL)
            wait_until(lambda: lines(running, "up", "takes no start request"), what=running.said)
            os.kill(running.nodes()["node1"]["pid"], signal.SIGKILL)
            wait_until(
                lambda: status(client, "node1") != "running", timeout=allowed(DEATH_SHOWN), what=running.said
            )
            broker.resume()
            wait_until_everyone_runs(running)
        assert "Traceback" not in running.log.read_text()
