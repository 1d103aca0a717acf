"""One whole network for all tests of a worker that need nothing of their own: `make up` as it comes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.network import Network, network
from tests.integration.test_process_life import wait_until_everyone_runs


@pytest.fixture(scope="session")
def started_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("shared") / "data") as started:
        started.start()
        with started.client() as client:
            assert client.post("/api/v1/tickets/seed").json()["data"]["seeded"] == 500
        yield started


@pytest.fixture(scope="module")
def shared(started_once: Network) -> Network:
    """All of it runs, whatever another file's tests did; its tickets are those that no other file uses."""
    wait_until_everyone_runs(started_once)
    return started_once
