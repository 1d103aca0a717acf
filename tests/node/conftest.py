"""Fixtures of the node's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dtvn.net import silence
from tests.node.running import Running
from tests.waiting import PATIENCE


@pytest.fixture(autouse=True)
def ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    """A ledger is a database of its own, made by its node and not by the test runner."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(autouse=True)
def pauses_cut_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends of a link are in this process: when it is paused for a moment, no peer has failed,
    and what was sent must not be lost with the link."""
    for name in ("LEAST_MS", "MOST_MS"):
        monkeypatch.setattr(silence, name, round(PATIENCE * 1_000))


@pytest.fixture
def running(tmp_path: Path, pauses_cut_no_link: None) -> Iterator[Running]:
    made = Running(tmp_path)
    made.start()
    yield made
    made.breaks = None
    made.end()
