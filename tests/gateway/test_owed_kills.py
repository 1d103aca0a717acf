"""Processes that are killed (-9) before each statement that changes the queue of owed judgements, and those
that go on after them."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dtvn.gateway import DistributedValidator
from dtvn.gateway.owed_queue import OwedQueue
from dtvn.protocol.genesis import CAPABILITIES
from tests.fake_gateway import FakeGateway
from tests.gateway.test_owed import all_settled, check_proved, cut, run_of
from tests.host.support import make_genesis

RUNS = ("a", "b", "c")
CHANGES = ("CREATE", "BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT")


def made() -> FakeGateway:
    return FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")


def in_a_process(life: Callable[[], None], dies_at: int) -> int:
    """Run `life` in a process that is killed before its change number `dies_at`; its exit code, -9 if it
    was."""
    process = os.fork()
    if process:
        _, status = os.waitpid(process, 0)
        return os.waitstatus_to_exitcode(status)
    code = 1
    try:
        numbers: Iterator[int] = itertools.count(1)
        connect = sqlite3.connect

        def count(statement: str) -> None:
            if statement.lstrip().startswith(CHANGES) and next(numbers) == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)

        def counted(*path: Any, **more: Any) -> sqlite3.Connection:
            database = connect(*path, **more)
            database.set_trace_callback(count)
            return database

        sqlite3.connect = counted  # type: ignore[assignment]
        life()
        code = 0
    finally:
        os._exit(code)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtvn.gateway.owed_settler.LOOK", 0.01)
    monkeypatch.setattr("dtvn.gateway.owed_settler.PACE", 0.0)


def check_next_life(folder: Path, answered: dict[str, str]) -> None:
    queue = OwedQueue(folder)
    known = {str(each.id): each.run for each in queue.waiting()}
    known |= {str(each.id): each.run for each in queue.settled()}
    queue.close()
    assert answered.items() <= known.items(), "what a result called owed is still there"
    assert len(known) <= len(answered) + 1
    gateway = made()
    with DistributedValidator(gateway, wait=0.01, owed_folder=folder) as validator:
        settled = all_settled(validator)
        assert {str(each.id): each.run for each in settled} == known
        assert len(settled) == len(known)
        assert validator.get_metrics().owed_settled == len(known)
        for each in settled:
            check_proved(gateway, each)


def test_a_next_life_that_is_killed_too_is_followed_by_another(tmp_path: Path) -> None:
    """Each dies at its third change; all of them together settle everything."""
    gateway = made()
    with DistributedValidator(gateway, wait=0.01, owed_folder=tmp_path) as validator:
        cut(gateway)
        answered = {
            str(validator.validate_sequence(run_of(name), thread="t", run=name).owed_id): name
            for name in RUNS
        }

    def next_life() -> None:
        with DistributedValidator(made(), wait=0.01, owed_folder=tmp_path) as validator:
            all_settled(validator)

    codes = [in_a_process(next_life, 8) for _ in range(2)]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL]
    check_next_life(tmp_path, answered)
