"""A real node in a thread that serves its metrics on a free port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dtvn.node.options import MetricsOptions, NodeOptions
from tests.node.running import Running


@pytest.fixture
def measured(tmp_path: Path, django_db_blocker: Any) -> Iterator[Running]:
    """The node's ledger is a database of its own, made by the node and not by the test runner."""
    with django_db_blocker.unblock():
        made = Running(tmp_path, options=NodeOptions(bind=("127.0.0.1", 0), metrics=MetricsOptions(port=0)))
        made.start()
        yield made
        made.breaks = None
        made.end()
