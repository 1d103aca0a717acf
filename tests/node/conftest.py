"""Fixtures of the node's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.running import Running


@pytest.fixture(autouse=True)
def ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    """A ledger is a database of its own, made by its node and not by the test runner."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    made.start()
    yield made
    made.breaks = None
    made.end()
