"""A platform without processes: the real API over a fake gateway with the real ticket machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from django.http import HttpResponse
from django.test import Client

from tests.api.learner import TableWriter
from tests.hostcore.support import make_genesis
from tickets.services import network
from validators.api import health, keys
from validators.feed import progress
from validators.gateway.fake import FakeGateway
from validators.services import api_keys, nodes

KEY = "dtvn_test_key_of_the_api_suite"


class Api:
    """Calls the API as a program with a key does."""

    def __init__(self, key: str | None = KEY) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.headers = {} if key is None else {"X-API-Key": key}

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.call("POST", path, body, **headers)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic(
            method,
            path if path.startswith("/") else f"/api/v1/{path}",
            content,
            content_type=named.pop("Content-Type", "application/json"),
            headers=self.headers | named,
        )

    def codes(self, path: str, *bodies: Any) -> list[int]:
        return [self.post(path, body).status_code for body in bodies]


def read(response: HttpResponse) -> Any:
    assert response.headers["Content-Type"] == "application/json"
    return msgspec.json.decode(response.content)


@pytest.fixture
def tables(db: None, settings: Any) -> TableWriter:
    return TableWriter()


@pytest.fixture
def fake(tables: TableWriter, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    keys.forget()
    health.readiness.forget()
    monkeypatch.setattr(progress, "_listener", None)
    given = FakeGateway(make_genesis(4), principal="gateway", on_executed=tables.on_executed)
    network.use(given)
    nodes.register_nodes([member.id for member in given.genesis.members])
    yield given
    network.use(None)
    if progress._listener is not None:
        progress._listener.close()


@pytest.fixture
def api(fake: FakeGateway) -> Api:
    api_keys.store_api_key(KEY, label="suite")
    return Api()
