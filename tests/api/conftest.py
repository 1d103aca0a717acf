"""A platform without processes: the real API over a fake gateway with the real ticket machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.http import HttpResponse
from django.test import Client

from dtvn.files.whole import write_private
from dtvn.node.layout import ClusterFolder
from dtvn.protocol import genesis as g
from events.services.run_table import RunTable, run_table
from tests.api.learner import TableWriter
from tests.api.living import LivingGateway
from tests.fake_gateway import FakeGateway
from tests.host.support import make_genesis
from tests.team_keys import store_key
from validators.feed import progress
from validators.membership import changes, newcomers
from validators.models import MembershipChange
from validators.rest import keys, members, metrics
from validators.services import network, nodes, wrong_codes

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
def _unswept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No thread writes runs into a test's transaction; tests sweep themselves."""
    monkeypatch.setattr(RunTable, "_watch", lambda self: None)
    yield
    run_table._runs.clear()


@pytest.fixture
def _own_progress(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What one test's copy has applied is not shown to the next."""
    monkeypatch.setattr(progress, "_listener", None)
    yield
    if progress._listener is not None:
        progress._listener.close()


@pytest.fixture
def fake(tables: TableWriter, _unswept: None, _own_progress: None) -> Iterator[FakeGateway]:
    keys.forget()
    metrics.page.forget()
    given = FakeGateway(
        make_genesis(4, capabilities=g.CAPABILITIES), principal="gateway", on_executed=tables.on_executed
    )
    network.use(given)
    nodes.register_nodes([member.id for member in given.genesis.members])
    yield given
    network.use(None)


@pytest.fixture(autouse=True)
def every_code_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller gets a few explanations of wrong codes a second."""
    monkeypatch.setattr(wrong_codes, "HINTS_MAX", 1_000_000)


@pytest.fixture
def api(fake: FakeGateway) -> Api:
    store_key(KEY, label="suite")
    return Api()


def work_off(row: MembershipChange, seconds: float) -> MembershipChange:
    """Carries changes out in the test's own thread, as `up` does in its process."""
    for _ in range(20):
        if row.finished or changes.turn() is None:
            break
        row.refresh_from_db()
    return row


@pytest.fixture
def living(
    tables: TableWriter, _unswept: None, _own_progress: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LivingGateway]:
    keys.forget()
    monkeypatch.setattr(members.changes, "wait", work_off)
    monkeypatch.setattr(changes, "ATTEMPT_PAUSE", 0.0)
    monkeypatch.setattr(newcomers, "PROOFS_WAIT", 0.3)
    given = LivingGateway(make_genesis(4), principal="gateway", on_executed=tables.on_executed)
    network.use(given)
    nodes.register_nodes(["r0", "r1"])
    store_key(KEY, label="suite")
    yield given
    network.use(None)


@pytest.fixture
def town(living: LivingGateway) -> Api:
    return Api()


@pytest.fixture
def folder(town: Api, settings: Any, tmp_path: Path) -> ClusterFolder:
    """The data folder of a platform whose genesis lies where nodes look for it."""
    settings.DATA = tmp_path
    made = ClusterFolder(tmp_path)
    made.create()
    write_private(made.genesis, g.encode(make_genesis(4)))
    return made
