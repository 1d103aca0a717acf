"""Reads of a node's API that wait for a sequence: many of them cost its ledger no more than one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from dtvn.api.errors import ApiError
from dtvn.api.helper import service
from dtvn.api.helper.service import Service
from tests.waiting import PATIENCE

WAITING = 200
NEVER = 10**18


class Ledger:
    """Counts the looks at its applied sequence, which may rise with each."""

    def __init__(self) -> None:
        self.looks = self.rise = 0

    def applied_sequence(self) -> int:
        self.looks += 1
        return self.looks * self.rise


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def made(ledger: Ledger) -> Any:
    made: Any = Service.__new__(Service)
    made._status, made._gateway, made.ledger = {}, SimpleNamespace(acknowledged=0), ledger
    made._readers, made._awaited, made._looking = ThreadPoolExecutor(2, "reader"), {}, None
    return made


def test_many_waiting_reads_look_at_the_ledger_like_one(
    made: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Besides, each looks when it begins and when it ends."""
    monkeypatch.setattr(service, "OWN_WRITES_WAIT", 0.3)

    async def play() -> list[int]:
        return await asyncio.gather(*(made.seen(NEVER) for _ in range(WAITING)))

    assert asyncio.run(play()) == [0] * WAITING
    assert 1 < ledger.looks - 2 * WAITING < WAITING
    assert not made._awaited


def test_each_waiting_read_ends_with_its_own_sequence(
    made: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "OWN_WRITES_WAIT", PATIENCE)
    ledger.rise = 1

    async def play() -> list[int]:
        return await asyncio.gather(*(made.seen(sequence) for sequence in (12, 20, 9)))

    assert asyncio.run(play()) == [12, 20, 9]


@pytest.mark.parametrize("named", [0, 9, 12])
def test_a_read_waits_for_what_this_api_acknowledged_whatever_it_names_besides(
    made: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, named: int
) -> None:
    """The later one of the two (R17)."""
    monkeypatch.setattr(service, "OWN_WRITES_WAIT", PATIENCE)
    ledger.rise, made._gateway.acknowledged = 1, 10
    assert asyncio.run(made.seen(named)) == max(named, 10)


def test_a_ledger_that_is_away_meanwhile_ends_no_wait(
    made: Any, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "OWN_WRITES_WAIT", PATIENCE)
    ledger.rise, applied = 1, ledger.applied_sequence

    def away_once() -> int:
        if (found := applied()) == 2:
            raise ApiError(503, "database_away", "This node's ledger does not answer; try again.")
        return found

    monkeypatch.setattr(ledger, "applied_sequence", away_once)
    assert asyncio.run(made.seen(3)) == 3
