"""Settings of a node reach the parts that they configure."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dtvn.ledger import LedgerBusy
from dtvn.node import run
from dtvn.node.options import NodeOptions
from tests.node.running import Running, until_commits
from tests.threads import Start
from tests.waiting import PATIENCE, wait_until
from validators.ledger import find_ledger, open_ledger
from validators.ledger.lock import FileLock, make_private_folder


@pytest.fixture(autouse=True)
def ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    """A ledger is a database of its own, made by its node and not by the test runner."""
    with django_db_blocker.unblock():
        yield


def test_cache_interval_and_folder_reach_door_core_and_ledger(tmp_path: Path, started: Start) -> None:
    options = NodeOptions(
        bind=("127.0.0.1", 0),
        remembered_max=16,
        status_idle=700_000_000,
        ledger_folder=tmp_path / "store",
    )
    node = started(Running(tmp_path / "data", options=options))
    with node.gateway() as gateway:
        for _ in range(20):
            until_commits(gateway)
        door = node.node.host.door
        assert door.verifications >= 20
        wait_until(lambda: door.remembered == 16, what="the memory is full and no fuller")
        assert node.node.core.config.status_idle == 700_000_000
    assert node.end() == 0
    assert (tmp_path / "store" / "ledger.sqlite3").exists()
    assert not any((node.root / "ledger").iterdir())


def test_a_start_waits_for_a_ledger_that_becomes_free(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "ledger")
    held = FileLock(tmp_path / "ledger")
    tries: list[int] = []

    def build() -> Any:
        tries.append(1)
        lock = FileLock(tmp_path / "ledger")
        lock.close()
        return "built"

    with ThreadPoolExecutor(1) as other, closing(held):
        waiting = other.submit(run._once_free, build, 60 * 10**9, lambda: False)
        wait_until(lambda: len(tries) >= 2, what="it tries again")
        held.close()
        assert waiting.result(PATIENCE) == "built"


def test_a_start_without_waiting_time_does_not_wait(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "ledger")
    held = FileLock(tmp_path / "ledger")
    with pytest.raises(LedgerBusy):
        run._once_free(lambda: FileLock(tmp_path / "ledger"), 0, lambda: False)  # type: ignore[arg-type,return-value]
    held.close()


def test_a_node_stopped_while_it_waits_for_its_ledger_exits_as_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    options = NodeOptions(bind=("127.0.0.1", 0), ledger_patience=60 * 10**9)
    node = Running(tmp_path / "data", options=options)
    held = FileLock(node.root / "ledger")
    try:
        assert (
            run.run_node(
                node.root, lambda: True, options=options, open_ledger=open_ledger, find_ledger=find_ledger
            )
            == run.EXIT_STOPPED
        )
    finally:
        held.close()
    assert "stopped reason=" in caplog.text
    assert not [told for told in caplog.records if told.levelname == "ERROR"]
