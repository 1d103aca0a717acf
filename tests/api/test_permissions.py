"""Who may do what: one table of method, path and scope, run for every kind of caller."""

from __future__ import annotations

import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied

from dtvn.protocol.genesis import CAPABILITIES
from tests.api.conftest import KEY, Api, read
from tests.fake_gateway import FakeGateway
from tests.team_keys import store_key
from validators.models import ApiKey
from validators.rest import keys

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

ROUTES: list[tuple[str, str, str | None]] = [
    ("GET", "/api/v1/tickets", None),
    ("GET", "/api/v1/tickets/T", None),
    ("POST", "/api/v1/tickets", "issue"),
    ("POST", "/api/v1/tickets/seed", "admin"),
    ("POST", "/api/v1/tickets/validate", "operate"),
    ("POST", "/api/v1/tickets/dispute", "operate"),
    ("POST", "/api/v1/tickets/resolve", "operate"),
    ("POST", "/api/v1/tickets/consume", "gate"),
    ("POST", "/api/v1/tickets/admit", "gate"),
    ("POST", "/api/v1/tickets/annul", "gate"),
    ("POST", "/api/v1/tickets/force", "supervise"),
    *(
        ("POST", f"/api/v1/tickets/{verb}", "operate")
        for verb in ("block", "unblock", "replace", "change", "import_entry")
    ),
    ("POST", "/api/v1/tickets/find", None),
    ("GET", "/api/v1/tickets/events", None),
    ("GET", "/api/v1/events/fest", None),
    ("PUT", "/api/v1/events/fest", "issue"),
    ("POST", "/api/v1/tickets/batch", None),
    ("GET", "/api/v1/stats", None),
    ("GET", "/api/v1/status", None),
    ("GET", "/api/v1/cluster", None),
    ("GET", "/api/v1/peers", None),
    ("GET", "/api/v1/network", None),
    ("GET", "/api/v1/config", None),
    ("GET", "/api/v1/consensus/logs", None),
    ("GET", "/api/v1/nodes", None),
    ("POST", "/api/v1/nodes", "admin"),
    ("GET", "/api/v1/nodes/r0", None),
    ("DELETE", "/api/v1/nodes/r0", "admin"),
    ("POST", "/api/v1/nodes/r0/start", "admin"),
    ("POST", "/api/v1/nodes/r0/stop", "admin"),
    ("POST", "/api/v1/nodes/r0/restart", "admin"),
    ("GET", "/api/v1/nodes/r0/stats", None),
    ("GET", "/api/v1/nodes/r0/tickets/T", None),
    ("GET", "/api/v1/members", None),
    ("POST", "/api/v1/members", "admin"),
    ("POST", "/api/v1/members/preview", "admin"),
    ("DELETE", "/api/v1/members/r9", "admin"),
    ("POST", "/api/v1/members/r9/rotate", "admin"),
    ("PATCH", "/api/v1/parameters", "admin"),
    ("GET", "/api/v1/changes", None),
    ("GET", "/api/v1/changes/1", None),
    ("DELETE", "/api/v1/changes/1", "admin"),
    ("GET", "/api/v1/evidence", None),
    ("GET", "/api/v1/evidence/1", None),
    ("GET", "/api/v1/principals", None),
    ("POST", "/api/v1/principals", "admin"),
    ("GET", "/api/v1/principals/gateway", None),
    ("PATCH", "/api/v1/principals/gateway", "admin"),
    ("DELETE", "/api/v1/principals/gateway", "admin"),
    ("POST", "/api/v1/principals/gateway/rotate", "admin"),
    ("GET", "/api/v1/locks", None),
    ("POST", "/api/v1/locks/acquire", "lock"),
    ("POST", "/api/v1/locks/renew", "lock"),
    ("POST", "/api/v1/locks/release", "lock"),
    ("POST", "/api/v1/locks/cancel", "lock"),
    ("GET", "/api/v1/events", None),
    ("POST", "/api/v1/events/validate", "record"),
    ("POST", "/api/v1/events/validate-sequence", "record"),
    ("POST", "/api/v1/events/stream", "record"),
    ("GET", "/api/v1/events/runs", None),
    ("POST", "/api/v1/events/runs", "record"),
    ("GET", "/api/v1/events/runs/1", None),
    ("DELETE", "/api/v1/events/runs/1", "record"),
    ("POST", "/api/v1/events/runs/1/events", "record"),
    ("POST", "/api/v1/events/runs/1/end", "record"),
    ("GET", "/api/v1/events/runs/1/pieces", None),
    ("POST", "/api/v1/events/runs/1/transcript", "record"),
    ("GET", "/api/v1/simulator", None),
    ("POST", "/api/v1/simulator/start", "admin"),
    ("POST", "/api/v1/simulator/stop", "admin"),
    ("GET", "/api/v1/simulator/output", None),
    ("GET", "/api/v1/simulator/results", None),
    ("GET", "/api/v1/simulator/runs", None),
    ("GET", "/api/v1/simulator/runs/1", None),
    ("GET", "/api/v1/simulator/runs/1/trace", None),
]
IDS = [f"{method} {path}" for method, path, _scope in ROUTES]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
TOKEN = "a" * 32
UNAUTHORIZED = "Invalid or missing API key"


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES, ids=IDS)
def test_each_route_needs_a_key_and_its_scope(api: Api, method: str, path: str, scope: str | None) -> None:
    without = Api(None).call(method, path)
    assert (without.status_code, read(without)["error"]) == (401, UNAUTHORIZED)
    assert without.headers["WWW-Authenticate"] == "Bearer"
    for granted in CAPABILITIES:
        key = f"dtvn_key_for_{granted}"
        store_key(key, label=granted, scopes=[granted])
        status = Api(key).call(method, path).status_code
        given = {granted, "supervise"} if granted == "admin" else {granted}
        assert (status == 403) == (scope is not None and scope not in given), granted
        assert status not in (401, 500)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_x16_a_wrong_method_on_health_is_405_with_allow(method: str) -> None:
    response = Api(None).call(method, "/health")
    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD"}
    assert "error" in read(response)


UNKNOWN = [
    "/api",
    "/api/",
    "/api/v2/",
    "/api/v1/nope",
    "/api/v1/tickets/",
    "/api//v1/tickets",
    "/api/v1/tickets/T/",
    "/api/v2/tickets",
    "/api/v1/nodes/",
    "/api/v1/simulator/",
    "/api/v1/simulator/runs/x",
    "/api/v1/nodes/r0/fly",
]


@pytest.mark.parametrize("path", UNKNOWN)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_x16_an_unknown_path_is_404_json_to_those_who_may_ask(api: Api, path: str, method: str) -> None:
    response = api.call(method, path)
    assert (response.status_code, read(response)["success"]) == (404, False)
    stranger = Api(None).call(method, path)
    assert (stranger.status_code, read(stranger)) == (401, {"error": UNAUTHORIZED}), "every path below /api/"


def test_c19_a_key_is_accepted_in_either_header(api: Api) -> None:
    right = api.headers["X-API-Key"]

    def status(**headers: str) -> int:
        return Api(None).get("status", **headers).status_code

    assert status(X_API_Key=right) == 200
    assert status(Authorization=f"Bearer {right}") == 200
    assert status(X_API_Key="", Authorization=f"Bearer {right}") == 200
    assert status(X_API_Key="wrong", Authorization=f"Bearer {right}") == 401
    assert status(Authorization=f"bearer {right}") == 401
    assert status(Authorization=f"Basic {right}") == 401
    assert status(X_API_Key="x" * 100_000) == 401
    assert status(X_API_Key="\xff\xfe") == 401


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES, ids=IDS)
def test_c43_every_401_of_the_platform_is_exact(
    fake: FakeGateway, method: str, path: str, scope: str | None
) -> None:
    assert read(Api(None).call(method, path)) == {"error": UNAUTHORIZED}
    assert read(Api("wrong").call(method, path)) == {"error": UNAUTHORIZED}


@pytest.mark.parametrize("path", sorted({path for _method, path, _scope in ROUTES}))
def test_c43_the_key_comes_before_the_method(fake: FakeGateway, path: str) -> None:
    for method in (*METHODS, "TRACE", "BREW"):
        assert read(Api(None).call(method, path)) == {"error": UNAUTHORIZED}, method
        assert Api("wrong").call(method, path).status_code == 401, method
    assert Api(None).call("HEAD", path).status_code == 401


@pytest.fixture
def long_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys stay cached for long, so that no expiry of the cache ends a key here."""
    monkeypatch.setattr(keys, "REMEMBERED_FOR", 3_600.0)


@pytest.mark.usefixtures("long_remembered")
def test_a_key_is_not_remembered_beyond_its_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_after = 1_800.0
    assert ends_after < keys.REMEMBERED_FOR
    expires_at = timezone.now() + timedelta(seconds=ends_after)
    begun = time.monotonic()
    store_key("dtvn_short", label="short", expires_at=expires_at)
    short = Api("dtvn_short")
    assert short.get("status").status_code == 200
    ApiKey.objects.filter(label="short").delete()
    assert short.get("status").status_code == 200, "remembered"
    monkeypatch.setattr(keys, "time", SimpleNamespace(monotonic=lambda: begun + ends_after))
    assert short.get("status").status_code == 401, "its end"


@pytest.fixture
def person(db: Any) -> User:
    return User.objects.create_user("ada", password="x")


def browser(user: User) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


@pytest.mark.parametrize(
    ("method", "origin", "allowed"),
    [
        ("POST", None, True),
        ("POST", "http://testserver", True),
        *((method, "https://elsewhere.example", False) for method in ("POST", "PUT", "PATCH", "DELETE")),
        ("GET", "https://elsewhere.example", True),
    ],
)
def test_an_open_api_takes_changes_of_its_own_pages_only(
    settings: Any, method: str, origin: str | None, allowed: bool
) -> None:
    settings.API_IS_OPEN = True
    named = {} if origin is None else {"HTTP_ORIGIN": origin}
    plain = RequestFactory().generic(method, "/api/v1/tickets", HTTP_HOST="testserver", **named)
    asked: Any = SimpleNamespace(_request=plain)
    if allowed:
        assert keys.OpenAuthentication().authenticate(asked) == (keys.ANYBODY, "open")
        return
    with pytest.raises(PermissionDenied):
        keys.OpenAuthentication().authenticate(asked)


@pytest.mark.parametrize(
    ("key", "path", "status"), [(KEY, "nodes/none/logs?lines=0", 400), ("no key", "nodes", 401)]
)
def test_r17_a_refusal_reports_the_sequence_too(
    api: Api, fake: FakeGateway, key: str, path: str, status: int
) -> None:
    fake.acknowledged = 7
    answer = Api(key).get(path)
    assert (answer.status_code, answer.headers["X-DTVN-Sequence"]) == (status, "7")
