"""While the nodes' disks are full nothing is decided, and pages and API report it at once (R8, 0150)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from dtvn.node.layout import ClusterFolder
from tests.disks import fill, mounted
from tests.integration.network import Network, network
from tests.waiting import PATIENCE, wait_until

# On PostgreSQL the ledgers lie on the server's disk, which is not this test's to fill.
pytestmark = [
    pytest.mark.integration,
    pytest.mark.embedded_only,
    pytest.mark.timeout(600),
    pytest.mark.exhaustive,
]

DISK_BYTES = 48 * 1024 * 1024
BATCH = 500


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Network]:
    """A network whose nodes share a small disk of their own."""
    data = tmp_path / "data"
    nodes = ClusterFolder(data).nodes
    nodes.mkdir(parents=True)
    with mounted(nodes, DISK_BYTES), network(data) as made:
        made.start()
        yield made


def full(running: Network) -> list[str]:
    """The nodes that report a full disk."""
    return [
        name for name, node in running.nodes().items() if node.get("error", "").startswith("its disk is full")
    ]


def told(client: httpx.Client, path: str, is_it: Callable[[httpx.Response], bool]) -> Any:
    """The body of the answer that is meant: a node that is slow just now is told as one that is down."""

    def asked() -> httpx.Response | None:
        answer = client.get(f"/api/v1/{path}")
        return answer if is_it(answer) else None

    found = wait_until(asked, what=lambda: f"{path}: {client.get(f'/api/v1/{path}').text}")
    assert found is not None
    return found.json()


def is_refused_for_want_of_room(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json().get("code")) == (503, "disk_full")


def test_r8_reads_are_answered_while_the_disks_of_the_nodes_are_full(running: Network) -> None:
    with running.client() as patient:
        patient.post("/api/v1/tickets/seed").raise_for_status()
    with running.client(patient=False) as client:
        filler = fill(ClusterFolder(running.data).nodes)
        numbers = count()

        def no_quorum() -> bool:
            """What is written fills what was left of each ledger's own files."""
            asked = [{"op": "issue", "ticket_id": f"T-{next(numbers)}"} for _ in range(BATCH)]
            client.post("/api/v1/tickets/batch", json={"operations": asked})
            return len(full(running)) >= 2

        wait_until(
            no_quorum, timeout=2 * PATIENCE, what=lambda: f"full disks: {running.nodes()}\n{running.said()}"
        )
        stats = told(client, "stats", lambda answer: "data" in answer.json())
        assert stats["data"]["node_id"] in running.nodes(), "a node answers, not the platform for want of one"
        config = told(client, "config", lambda answer: answer.is_success)["data"]
        assert (config["node_id"] in running.nodes(), config["total_nodes"]) == (True, 4)
        one = wait_until(lambda: full(running), what="a full disk")[0]
        assert told(client, f"nodes/{one}/stats", lambda answer: answer.is_success)["data"]["node_id"] == one
        told(client, f"nodes/{one}/tickets/TICKET-001", is_refused_for_want_of_room)
        assert client.get("/api/v1/tickets/TICKET-001").json()["data"]["State"] == "ISSUED"
        filler.unlink()
    with running.client() as patient:
        patient.post("/api/v1/tickets/validate", json={"ticket_id": "TICKET-001"}).raise_for_status()
    wait_until(lambda: not full(running), what=lambda: f"room again: {running.nodes()}")
