"""What a program's read of a ticket costs the web process, in exact counts: statements, sessions, labels."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.views import View
from prometheus_client import REGISTRY

from tests.api.conftest import Api
from validators.web import middleware

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

TICKET = "/api/v1/tickets/T-1"
HEADERS = {
    "Content-Length",
    "Content-Security-Policy",
    "Content-Type",
    "Cross-Origin-Opener-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
    "X-DTVN-Read",
    "X-DTVN-Sequence",
    "X-Frame-Options",
}


@pytest.fixture
def answer(api: Api) -> HttpResponse:
    """Of a program that has asked before."""
    api.post("tickets", {"ticket_id": "T-1"})
    api.get(TICKET)
    return api.get(TICKET)


def requests_seen() -> float:
    name = "django_http_requests_total_by_method_total"
    return REGISTRY.get_sample_value(name, {"method": "GET"}) or 0.0


def test_one_statement_to_the_copy_and_none_to_the_platform(api: Api, answer: HttpResponse) -> None:
    with (
        CaptureQueriesContext(connections["default"]) as platform,
        CaptureQueriesContext(connections["learner"]) as copy,
    ):
        api.get(TICKET)
    assert (len(platform), len(copy)) == (0, 1)


def test_a_program_gets_no_session_and_no_messages(api: Api, answer: HttpResponse) -> None:
    given = vars(answer.wsgi_request)  # type: ignore[attr-defined]
    assert not {"session", "_messages"} & set(given)
    visited = vars(Api(None).get(TICKET).wsgi_request)  # type: ignore[attr-defined]
    assert {"session", "_messages"} <= set(visited)


@pytest.mark.parametrize("path", ["/api/docs", "/dashboard/nodes", "/api"])
def test_a_key_in_the_header_of_a_page_leaves_it_its_session(api: Api, path: str) -> None:
    assert "session" in vars(api.get(path).wsgi_request)  # type: ignore[attr-defined]


def test_the_answer_has_the_headers_of_every_answer(answer: HttpResponse) -> None:
    assert set(answer.headers) == HEADERS
    assert not answer.cookies


def test_a_stale_session_cookie_sent_with_a_key_is_deleted(
    api: Api, answer: HttpResponse, settings: Any
) -> None:
    api.client.cookies[settings.SESSION_COOKIE_NAME] = "stale"
    told = api.get(TICKET)
    assert (told.status_code, told.content) == (200, answer.content)
    assert told.cookies[settings.SESSION_COOKIE_NAME].value == "", "no session has this name: deleted"


def test_labels_are_looked_up_once_and_counted_always(api: Api, answer: HttpResponse) -> None:
    found, seen = middleware._series.cache_info().misses, requests_seen()
    for _ in range(3):
        api.get(TICKET)
    assert (middleware._series.cache_info().misses, requests_seen()) == (found, seen + 3)


def test_a_views_methods_are_known_beforehand(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(view: View) -> list[str]:
        raise AssertionError("looked for methods")

    monkeypatch.setattr(View, "_allowed_methods", look)
    assert api.call("PUT", TICKET).headers["Allow"] == "GET, HEAD"
    assert api.call("PUT", "/api/v1/tickets").headers["Allow"] == "GET, POST, HEAD"
