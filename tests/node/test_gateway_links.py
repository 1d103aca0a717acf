"""A gateway counts what passes its links to a real member."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dtvn.gateway import DistributedValidator
from dtvn.node.options import NodeOptions
from tests.node.running import Running, until_commits


@pytest.fixture(autouse=True)
def ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    """A ledger is a database of its own, made by its node and not by the test runner."""
    with django_db_blocker.unblock():
        yield


def test_the_transport_counts_bytes_and_connections(tmp_path: Path) -> None:
    node = Running(tmp_path / "data", options=NodeOptions(bind=("127.0.0.1", 0)))
    node.start()
    with node.gateway() as gateway:
        until_commits(gateway)
        stats = DistributedValidator(gateway).get_transport().get_stats()
    assert node.end() == 0
    assert (stats.active_connections, stats.total_connections, stats.connection_errors) == (1, 1, 0)
    assert min(stats.bytes_sent, stats.bytes_received) > 100
    assert gateway.links() == {}, "a closed gateway has none"
