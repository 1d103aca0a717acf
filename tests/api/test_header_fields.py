"""What Mozilla's Observatory asks of each page; and that personal answers are kept by no cache."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.api.conftest import Api
from tests.team_keys import store_key

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

EXPECTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def plain_paths(patterns: list[URLPattern | URLResolver], before: str = "/") -> Iterator[str]:
    """Each path of the platform that has no parameter."""
    for each in patterns:
        path = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from plain_paths(each.url_patterns, path)
        elif "<" not in path and "^" not in path and "(" not in path:
            yield path


PATHS = sorted(set(plain_paths(get_resolver().url_patterns)))


@pytest.fixture
def chief() -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("chief"))
    return client


@pytest.mark.parametrize("visitor", ["chief", "stranger"])
def test_each_page_has_the_fields_that_observatory_asks_for(visitor: str, chief: Client, api: Api) -> None:
    assert len(PATHS) > 60
    client = chief if visitor == "chief" else Client(raise_request_exception=False)
    lacking = {}
    for path in PATHS:
        answer = client.get(path)
        found = {name: answer.headers.get(name) for name in EXPECTED}
        if found != EXPECTED:
            lacking[path] = found
        policy = answer.headers.get("Content-Security-Policy", "")
        assert "default-src 'self'" in policy, path
        assert "unsafe" not in policy or path == "/api/docs", path
        assert "camera=()" in answer.headers["Permissions-Policy"], path
        assert "Access-Control-Allow-Origin" not in answer.headers, path
    assert lacking == {}


def test_cookies_are_for_this_site_and_not_for_scripts(client: Client) -> None:
    User.objects.create_superuser("chief", password="a long enough phrase")
    answer = client.post("/admin/login/", {"username": "chief", "password": "a long enough phrase"})
    session = next(each for name, each in answer.cookies.items() if "session" in name)
    assert session["httponly"]
    assert {each["samesite"] for each in answer.cookies.values()} == {"Lax"}


def test_answers_about_tickets_and_guests_are_kept_by_no_cache(api: Api) -> None:
    api.post("tickets", {"ticket_id": "A-1"})
    for path in ("tickets", "tickets/A-1", "tickets/nobody", "consensus/logs?kind=all", "nodes"):
        assert api.get(path).headers["Cache-Control"] == "no-store"
    assert (
        api.post("tickets/find", {"event": "default", "barcode": "A-1"}).headers["Cache-Control"]
        == "no-store"
    )


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200f", "\x9b", "\x1b"])
@pytest.mark.parametrize("field", ["gate", "device", "reason"])
def test_a_gate_a_device_and_a_reason_have_no_marks(api: Api, field: str, mark: str) -> None:
    store_key("dtvn_key_of_a_supervisor", label="supervisor", scopes=["gate", "supervise", "admin"])
    body = {"ticket_id": "A-1", "event": "default", "gate": "north", "device": "d", "reason": "lost phone"}
    refused = Api("dtvn_key_of_a_supervisor").post("tickets/force", body | {field: f"no{mark}rth"})
    assert refused.status_code == 400
    assert field in refused.json()["error"]
