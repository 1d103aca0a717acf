"""Who may do what: one table of method, path and scope, run for every kind of caller."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import Client, RequestFactory
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied

from dtvn.protocol.genesis import CAPABILITIES
from tests.api.conftest import KEY, Api, read
from tests.fake_gateway import FakeGateway
from tests.waiting import PATIENCE
from validators.models import ApiKey
from validators.rest import keys
from validators.services import api_keys

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
        api_keys.store_api_key(key, label=granted, scopes=[granted])
        status = Api(key).call(method, path).status_code
        given = {granted, "supervise"} if granted == "admin" else {granted}
        assert (status == 403) == (scope is not None and scope not in given), granted
        assert status not in (401, 500)


@pytest.mark.parametrize("path", sorted({path for _method, path, _scope in ROUTES}))
def test_x16_a_wrong_method_is_405_with_allow(api: Api, path: str) -> None:
    allowed = {method for method, known, _scope in ROUTES if known == path}
    for method in METHODS:
        if method in allowed:
            continue
        response = api.call(method, path)
        assert response.status_code == 405, method
        assert set(response.headers["Allow"].split(", ")) - {"HEAD"} == allowed
        assert "error" in read(response)


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


def test_two_slashes_at_the_start_are_404(api: Api) -> None:
    assert api.client.generic("GET", "//api/v1/tickets", headers=api.headers).status_code in (301, 404)


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


@pytest.mark.parametrize("key", ["schlüssel", "ключ", "k" * 2_000])
def test_c19_a_key_may_be_long_and_have_any_characters(fake: FakeGateway, key: str) -> None:
    """Header values arrive as Latin-1; before, a key with other characters was refused."""
    api_keys.store_api_key(key, label="given")
    sent = key.encode().decode("latin-1")
    assert Api(None).get("status", X_API_Key=sent).status_code == 200
    assert Api(None).get("status", Authorization=f"Bearer {sent}").status_code == 200
    assert Api(None).get("status", X_API_Key=sent + "ü").status_code == 401


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
def test_a_revoked_key_ends_at_once(api: Api, django_capture_on_commit_callbacks: Any) -> None:
    assert api.get("status").status_code == 200
    with django_capture_on_commit_callbacks(execute=True):
        api_keys.revoke_api_key(ApiKey.objects.get(label="suite"))
    assert api.get("status").status_code == 401


@pytest.mark.usefixtures("long_remembered")
def test_a_key_that_is_revoked_while_it_is_looked_up_is_not_remembered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = api_keys.find_digest

    def look_before(digest: str) -> ApiKey | None:
        found = look(digest)
        if found is not None:
            ApiKey.objects.filter(pk=found.pk).update(revoked_at=timezone.now())
            api_keys.tell_of_change()
        return found

    monkeypatch.setattr(api_keys, "find_digest", look_before)
    assert api.get("status").status_code == 200, "it was valid when it was read"
    assert api.get("status").status_code == 401


TELL = """
import django
django.setup()
from validators.services.api_keys import tell_of_change
tell_of_change()
"""


@pytest.mark.usefixtures("long_remembered")
def test_a_key_that_another_process_revoked_ends_at_once(api: Api, settings: Any) -> None:
    assert api.get("status").status_code == 200
    ApiKey.objects.filter(label="suite").update(revoked_at=timezone.now())
    assert api.get("status").status_code == 200, "remembered: nobody told of it yet"
    subprocess.run(
        [sys.executable, "-c", TELL],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "dtvn_project.settings", "DTVN_DATA": str(settings.DATA)},
        check=True,
        timeout=PATIENCE,
    )
    assert api.get("status").status_code == 401


@pytest.mark.usefixtures("long_remembered")
def test_a_key_is_not_remembered_beyond_its_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_after = 1_800.0
    assert ends_after < keys.REMEMBERED_FOR
    expires_at = timezone.now() + timedelta(seconds=ends_after)
    begun = time.monotonic()
    api_keys.store_api_key("dtvn_short", label="short", expires_at=expires_at)
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


def test_a_cookie_alone_reads_but_writes_only_with_its_token(fake: FakeGateway, person: User) -> None:
    person.is_superuser = True
    person.save()
    client = browser(person)
    assert client.get("/api/v1/status").status_code == 200
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        refused = client.post("/api/v1/tickets/seed", b"", content_type=content_type)
        assert (refused.status_code, read(refused)["success"]) == (403, False)
    client.cookies[settings.CSRF_COOKIE_NAME] = TOKEN
    allowed = client.post(
        "/api/v1/tickets/seed", b"", content_type="text/plain", headers={"X-CSRFToken": TOKEN}
    )
    assert allowed.status_code == 200


def test_a_valid_session_does_not_excuse_a_wrong_key(fake: FakeGateway, person: User) -> None:
    response = browser(person).get("/api/v1/status", headers={"X-API-Key": "wrong"})
    assert response.status_code == 401


def test_a_person_may_do_what_their_groups_grant(fake: FakeGateway, person: User) -> None:
    person.groups.add(Group.objects.get(name="gate"))
    client = browser(person)
    client.cookies[settings.CSRF_COOKIE_NAME] = TOKEN

    def status(verb: str) -> int:
        return client.post(
            f"/api/v1/tickets/{verb}",
            b'{"ticket_id":"NOPE"}',
            content_type="application/json",
            headers={"X-CSRFToken": TOKEN},
        ).status_code

    assert (status("admit"), status("validate"), status("seed")) == (404, 403, 403)


def test_the_log_names_the_caller(api: Api) -> None:
    from validators.ledger.models import OperationRecord

    api.post("tickets/validate", {"ticket_id": "NOPE"})
    actor = OperationRecord.objects.filter(operation="validate").values_list("actor", flat=True).get()
    assert actor == f"key:{ApiKey.objects.get(label='suite').pk}"


@pytest.mark.parametrize(
    ("active", "group", "scopes"), [(True, "gate", {"gate"}), (True, None, None), (False, "gate", None)]
)
def test_a_user_calls_with_the_scopes_of_a_role_and_only_while_active(
    person: User, active: bool, group: str | None, scopes: set[str] | None
) -> None:
    person.is_active = active
    person.save()
    if group:
        person.groups.add(Group.objects.get(name=group))
    caller = keys.caller_of_user(person)
    assert (None if caller is None else set(caller.scopes)) == scopes
    request = RequestFactory().get("/admin/")
    request.user = person
    assert keys.may(request, "gate") is (scopes is not None)
    assert not keys.may(request, "admin")


def test_a_user_lets_in_only_where_and_whom_its_groups_name(person: User) -> None:
    """Several of a kind allow each of them; none of a kind allows all."""
    person.groups.add(Group.objects.get(name="gate"))
    unlimited = keys.caller_of_user(person)
    for name in ("list:vip", "list:meal", "product:VIP", "product:Crew: all days"):
        person.groups.add(Group.objects.create(name=name))
    limited = keys.caller_of_user(person)
    assert unlimited == keys.Caller(keys.actor_of(person), frozenset({"gate"}))
    assert limited == keys.Caller(
        keys.actor_of(person),
        frozenset({"gate"}),
        lists=frozenset({"vip", "meal"}),
        products=frozenset({"VIP", "Crew: all days"}),
    )


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


def test_the_actor_of_a_long_user_name_fits_into_the_log() -> None:
    assert keys.actor_of(User(username="ada")) == "user:ada"
    assert keys.actor_of(User(username="x" * 150)) == f"user:{'x' * 123}"
