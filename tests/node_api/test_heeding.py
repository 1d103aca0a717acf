"""The thread of an API helper that heeds its node: neither a ledger that is away nor a fault silences it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtvn.api.errors import ApiError
from dtvn.api.helper import process, service
from dtvn.api.helper.service import Service
from dtvn.node.api_channel import Status, Stop


class Server:
    should_exit = False

    def stop(self) -> None:
        self.should_exit = True


def heed(service: Any, *messages: object) -> Server:
    server = Server()
    process._heed(iter(messages), cast(Service, service), cast(Any, server))
    return server


def test_a_ledger_that_is_away_at_the_first_status_is_read_at_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = iter([True, False])
    opened: list[str] = []

    def epoch_changes() -> tuple[()]:
        if next(away):
            raise ApiError(503, "database_away", "This node's ledger does not answer; try again.")
        return ()

    made: Any = Service.__new__(Service)
    made._gateway = made._status = None
    made._folder = SimpleNamespace(
        api_key=SimpleNamespace(name="api.key", exists=lambda: True), genesis="genesis"
    )
    made.ledger = SimpleNamespace(epoch_changes=epoch_changes)
    made.node = "node0"
    made.genesis = SimpleNamespace(principals=[SimpleNamespace(public_key=b"k", name="api-node0")])
    monkeypatch.setattr(service, "read_identity", lambda _path: SimpleNamespace(public_key=b"k"))
    gateway = SimpleNamespace(dial=lambda _addresses: opened.append("dialled"))
    monkeypatch.setattr(service.Gateway, "open", lambda *_, **__: gateway)
    status = Status({"addresses": {}})
    assert heed(made, status, status, Stop()).should_exit
    assert opened == ["dialled"]


def test_a_fault_ends_the_helper_so_that_its_node_starts_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(process, "os", SimpleNamespace(_exit=ended.append))
    heed(SimpleNamespace(heard=lambda _fields: 1 / 0), Status({}))
    assert ended == [0]
